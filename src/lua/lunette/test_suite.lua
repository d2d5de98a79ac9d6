-- What one file of tests declares, and what becomes new for each of them: between lunette.test, which
-- declares, and lunette.command.test, which runs.

return {
    tests = {},    -- { name, fn, timeout, place }, in order
    named = {},    -- name → the same
    before = {},   -- the functions of before_each
    renew = {},    -- functions that are called before and after every test, and before data/ is kept
    closed = false, -- the file has run: nothing more is declared
}
