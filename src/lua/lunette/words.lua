-- A set, { word = true, … }, from a text of words between white space.

return function(text)
    local set = {}
    for word in text:gmatch("%S+") do set[word] = true end
    return set
end
