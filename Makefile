# lunette: `make serve` builds and serves this repository's own site; `make test` runs every test.
# Objects go to build/, those of the sanitized variant to build/asan/.
#
# What is missing is installed first (.ci/need says what); NEED=: skips that. JOBS is how much
# `make test` does at a time, V=1 shows the commands.

NEED       ?= .ci/need
BUILD_NEEDS = gcc libc6-dev make pkg-config liblua5.4-dev libssl-dev zlib1g-dev libmagic-dev \
              libbrotli-dev libzstd-dev libseccomp-dev libsqlite3-dev
TEST_NEEDS  = $(BUILD_NEEDS) libcmocka-dev lua5.4 python3 python3-pytest python3-pytest-xdist python3-requests \
              python3-jwt python3-cryptography openssl python3-selenium chromium chromium-driver curl strace \
              mandoc dpkg-dev wrk
# Goals that do without what only tests need.
BUILDING    = all need serve install install-files uninstall deb deb-files build/lunette \
              bench bench-growth bench-publish bench-instructions bench-micro bench-json bench-cache

CC       = gcc
comma   := ,
B       ?= build
SAN     ?=
OPT     ?= -O2
WARN     = -Wall -Wextra -Wshadow -Wconversion -Werror
HARDEN   = -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
# What a small answer goes through (HOT) is optimised as a whole where the program is linked: 7 % fewer of
# its instructions. The objects hold machine code as well, of which tests are linked as fast as without.
LTO     ?= $(if $(SAN),,-flto=auto)
# Frame pointers are for the sanitizers' stacks; they cost a small answer 3.5 % of its instructions.
CFLAGS  += -std=gnu11 $(OPT) -g $(if $(SAN),-fno-omit-frame-pointer) $(WARN) $(HARDEN) $(SAN)
CPPFLAGS += -D_GNU_SOURCE -Iinclude $(LUA_CFLAGS) -MMD -MP
# C modules find Lua in the program, and nothing that they could take for a function of theirs.
EXPORTS  = $(patsubst %,-Wl$(comma)--export-dynamic-symbol='%',lua_* luaL_* luaopen_*)
LDFLAGS += -pie -Wl,-z,relro,-z,now,-z,pack-relative-relocs $(EXPORTS) $(NUMBERS) $(SAN) -fno-lto

LUA_CFLAGS = $(shell pkg-config --cflags lua5.4 2>/dev/null)
# Lua is linked in whole, so that C modules installed for Lua 5.4 find every function of it.
# Its integers are written by script/lua_number.c.
NUMBERS    = -Wl,--wrap=__snprintf_chk,-u,__wrap___snprintf_chk
LUA_LIBS   = -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive -lm -ldl
# Codings that are made where their libraries are.
libs       = $(shell pkg-config --libs $(1) 2>/dev/null)
have       = $(if $(call libs,$(1)),-D$(2))
CODINGS    = $(call have,libbrotlienc,HAVE_BROTLI) $(call have,libzstd,HAVE_ZSTD)
LIBS       = $(LUA_LIBS) $(SHARED)
SHARED     = -lz -lmagic -lseccomp $(call libs,libbrotlienc) $(call libs,libzstd) -pthread

SRC   := $(sort $(wildcard src/*/*.c))
LUA   := $(sort $(wildcard src/lua/*.lua src/lua/*/*.lua src/lua/*/*/*.lua))
META  := $(sort $(wildcard src/meta/*/*.lua))
WEB   := $(sort $(wildcard src/web/*))
NEW   := $(sort $(shell find src/new -type f))
OBJ   := $(SRC:src/%.c=$(B)/obj/%.o) $(B)/obj/modules.o $(B)/obj/meta.o $(B)/obj/new.o $(B)/obj/web.o
LIBOBJ := $(filter-out $(B)/obj/app/main.o,$(OBJ))
UNITS := $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/*/test_*.c)))
FUZZ  := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
LUATESTS := $(patsubst tests/unit/lua/%.lua,%,$(sort $(wildcard tests/unit/lua/test_*.lua)))
# What a small site at rest has not run lies at the end of the program, behind Lua and what each process
# runs: the kernel maps 64 KiB around a page that is touched. A name too few here costs memory, and so
# does one too many; nothing else depends on it.
RARE   = $(addprefix app/,ask attend changes cli_help complain config_again figures kin limits live% \
           meta new report scratch solo talk trial%) \
         $(addprefix base/,base64 daily folder% html lib% metric plain utf8) \
         $(addprefix content/,byteranges cache_check cache_fill cache_rate cache_stamp coder_% coding_% \
           gzip inject% listing% mime mime_content mime_unnamed save siblings) \
         $(addprefix http/,accept conditions cookie disposition form forwarded h1_chunked multipart% \
           own_host page params range request tally trailers url) net/cidr \
         $(addprefix script/,co_obstacle console_input cut handler_after job json_% keys \
           lua_cache% lua_cipher lua_console lua_cookie lua_crypto lua_gzip lua_json_% \
           lua_listing lua_log lua_part_% lua_password lua_path lua_scripts lua_sign lua_sqlite% \
           lua_task lua_time lua_trial lua_url lua_verifier options plain request_body request_client \
           request_private scrypt_text signed sqlite_% trial_ask values web)
SELDOM = $(filter $(RARE:%=$(B)/obj/%.o),$(OBJ))
LAST   = $(addprefix $(B)/obj/,modules.o meta.o new.o web.o) $(SELDOM)
FIRST  = $(filter-out $(LAST),$(OBJ))
HOT    = $(filter-out $(RARE:%=src/%.c),$(wildcard src/base/*.c src/net/*.c src/http/*.c) \
           $(addprefix src/content/,file.c filecache.c fit.c selection.c static.c) \
           $(patsubst %,src/script/%.c,answer answer_kept client co handler handler_run lua_file lua_request \
             lua_stream luax names own_hosts request_read route shortcut vm vm_blocks vm_rest))
TESTOBJ  := $(UNITS:%=$(B)/tests/unit/%.o) $(FUZZ:%=$(B)/tests/fuzz/fuzz_%.o) \
            $(B)/tests/fuzz/replay.o
TIDY   = $(SRC) $(wildcard .ci/*.c include/*/*.h tests/unit/*/*.[ch] tests/fuzz/*.[ch])

# One short line a step.
Q    = $(if $(V),,@)
say  = @$(if $(V),:,printf '%5s %s\n' '$(1)' '$(2)')
# $(call run,NAME,COMMAND): a test in one line, or with all it said when it fails. It may take two
# minutes: what takes longer hangs.
run  = @mkdir -p $(dir $(B)/log/$(1)); \
       if timeout 120 $(2) >$(B)/log/$(1) 2>&1; then printf ' pass %s\n' '$(1)'; \
       else code=$$?; cat $(B)/log/$(1); printf 'FAILED %s (status %s)\n' '$(1)' $$code; exit 1; fi

.DEFAULT_GOAL := all
.PHONY: all need serve install install-files uninstall deb deb-files test test-modules sanitized unit lua-unit integration browser asan soak fuzz fuzz-replay bench \
        bench-growth bench-publish bench-instructions bench-micro bench-json bench-cache cover format lint layers sizes clean
.SECONDARY:
.DELETE_ON_ERROR:

all: need $(B)/lunette

need:
	@$(NEED) $(if $(filter-out $(BUILDING),$(MAKECMDGOALS)),$(TEST_NEEDS),$(BUILD_NEEDS))

$(B)/lunette: $(OBJ)
	$(call say,link,$@)
	$(Q)$(CC) $(if $(LTO),$(LTO) $(filter-out -fno-lto,$(LDFLAGS)),$(LDFLAGS)) -o $@ \
	  $(FIRST) $(LUA_LIBS) -lgcc $(LAST) $(SHARED) # in this order: see RARE

$(B)/liblunette.a: $(LIBOBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/obj/%.o: src/%.c | need
	@mkdir -p $(@D)
	$(call say,cc,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(HOT:src/%.c=$(B)/obj/%.o): CFLAGS += $(if $(LTO),$(LTO) -ffat-lto-objects)

# Else one of their texts may stand for another file's that ends the same way, and is touched for it.
$(SELDOM): CFLAGS += -fno-merge-constants
$(B)/obj/content/coder_%.o: CPPFLAGS += $(CODINGS)

# Files inside the program: one .incbin each, and a table of { name, text, bytes }. $(call
# embed,TABLE,FILES,SED): SED makes names of paths. The names stand together, so that who reads all of
# them touches no text.
embed = { echo '.section .rodata'; n=0; for f in $(2); do \
            m=$$(echo $$f | sed '$(3)'); n=$$((n+1)); printf 'name%d: .asciz "%s"\n' $$n $$m; done; \
          n=0; for f in $(2); do n=$$((n+1)); \
            printf 'text%d: .incbin "%s"\nend%d: .byte 0\n' $$n $$f $$n; done; \
          echo '.section .data.rel.ro,"aw"'; echo '.balign 8'; echo '.globl $(1)'; echo '$(1):'; \
          n=0; for f in $(2); do n=$$((n+1)); \
            printf '.quad name%d, text%d, end%d - text%d\n' $$n $$n $$n $$n; done; \
          echo '.quad 0, 0, 0'; echo '.section .note.GNU-stack,"",%progbits'; }

# The Lua library, compiled: vm_modules (script/vm.h). Lua in each worker would take 4 ms for what a
# site without anything special needs of it. What every site needs comes first, side by side, for the
# kernel brings the pages around one that is touched along: 250 KiB less of the program are in memory.
COMMON = $(patsubst %,src/lua/%.lua,lunette $(addprefix lunette/,app chain declare dispatch errors \
         host_views later outcome pages pattern request response route_options router scope suggest units \
         unrouted url_for views))
CODE  := $(patsubst src/lua/%.lua,$(B)/lua/%.luac,$(COMMON) $(filter-out $(COMMON),$(LUA)))
$(B)/compile: .ci/compile.c | need
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) $(LUA_CFLAGS) -o $@ $< $(LUA_LIBS)
$(B)/lua/%.luac: src/lua/%.lua $(B)/compile
	@mkdir -p $(@D)
	$(Q)$(B)/compile $< $(*:/init=) > $@
$(B)/modules.S: $(CODE) Makefile
	@$(call embed,vm_modules,$(CODE),s|^$(B)/lua/||; s|\.luac$$||; s|/|.|g; s|\.init$$||) > $@
# The annotations for editors: meta_files (app/meta.h).
$(B)/meta.S: $(META) Makefile
	@mkdir -p $(@D)
	@$(call embed,meta_files,$(META),s|^src/meta/||) > $@
# The site that `lunette new` makes: new_files (app/new.h).
$(B)/new.S: $(NEW) Makefile
	@mkdir -p $(@D)
	@$(call embed,new_files,$(NEW),s|^src/new/||) > $@
# What --dev shows in the browser: web_files (script/web.h).
$(B)/web.S: $(WEB) Makefile
	@mkdir -p $(@D)
	@$(call embed,web_files,$(WEB),s|^src/web/||) > $@
$(B)/obj/modules.o: $(CODE)
$(B)/obj/meta.o: $(META)
$(B)/obj/new.o: $(NEW)
$(B)/obj/web.o: $(WEB)
$(B)/obj/%.o: $(B)/%.S | need
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

serve: all
	$(B)/lunette serve . --dev

# The program, its manual pages and completions, the annotations for editors, the guide, and a unit for
# systemd: make install PREFIX=/usr DESTDIR=/tmp/package. lunette@srv-mysite.service then serves
# /srv/mysite. Paths of PLACES are beneath PREFIX.
PREFIX  ?= /usr/local
DESTDIR ?=
BINDIR   = $(PREFIX)/bin
DOCDIR   = $(PREFIX)/share/doc/lunette
UNITDIR  = $(PREFIX)/lib/systemd/system
DATADIR  = $(PREFIX)/share/lunette
ZSH      = share/zsh/site-functions
PLACES   = README.md:share/doc/lunette/README.md src/man/lunette.1:share/man/man1/lunette.1 \
           src/man/lunette-config.5:share/man/man5/lunette-config.5 \
           src/completion/bash:share/bash-completion/completions/lunette \
           src/completion/zsh:$(ZSH)/_lunette \
           src/completion/fish:share/fish/vendor_completions.d/lunette.fish \
           $(foreach f,$(META),$(f):share/lunette/meta/$(f:src/meta/%=%)) \
           $(foreach f,$(sort $(shell find scripts site -type f)),$(f):share/lunette/guide/$(f))
install: all
	@$(MAKE) --no-print-directory NEED=: install-files
install-files:
	install -D -m 755 $(B)/lunette '$(DESTDIR)$(BINDIR)/lunette.new'
	mv -f '$(DESTDIR)$(BINDIR)/lunette.new' '$(DESTDIR)$(BINDIR)/lunette' # one may be running
	@for place in $(PLACES); do \
	  install -D -m 644 "$${place%%:*}" '$(DESTDIR)$(PREFIX)'/"$${place#*:}" || exit 1; done
	install -d '$(DESTDIR)$(UNITDIR)'
	sed 's,@BINDIR@,$(BINDIR),g; s,@DOCDIR@,$(DOCDIR),g' src/app/lunette@.service.in \
	  >'$(DESTDIR)$(UNITDIR)/lunette@.service'
	chmod 644 '$(DESTDIR)$(UNITDIR)/lunette@.service'
# Folders that are lunette's alone go whole, whichever version filled them; data/ of the guide stays.
uninstall:
	rm -f '$(DESTDIR)$(BINDIR)/lunette' '$(DESTDIR)$(UNITDIR)/lunette@.service'
	@for place in $(PLACES); do rm -f '$(DESTDIR)$(PREFIX)'/"$${place#*:}"; done
	rm -rf '$(DESTDIR)$(DATADIR)/meta' '$(DESTDIR)$(DATADIR)/guide/scripts' \
	  '$(DESTDIR)$(DATADIR)/guide/site'
	@for d in '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(DATADIR)/guide' '$(DESTDIR)$(DATADIR)'; do \
	  [ ! -d "$$d" ] || rmdir --ignore-fail-on-non-empty "$$d"; done

# A Debian package of what is installed, in $(B)/. deb-files takes the program that is there.
deb: all
	@$(NEED) dpkg-dev
	@$(MAKE) --no-print-directory NEED=: deb-files
deb-files:
	@.ci/deb $(B)

# --- tests ---

# Everything, plain and again under ASan and UBSan. Stops at the first failure, when what runs beside
# it has ended.
#
# Tests of a running server mostly wait, and a build never does: the sanitized one, its units and the
# journeys in a browser take what the plain integration tests leave of the processors. What is said
# comes step by step then, not mixed.
SANITIZED = B=build/asan SAN="-fsanitize=address,undefined -fno-sanitize-recover=all" OPT=-O1
JOBS     ?= $(shell nproc)
parallel  = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(1))
PARALLEL  = $(call parallel,$(JOBS))
BESIDE    = $(call parallel,$(shell expr $(JOBS) + 2)) --output-sync=target
failed    = { echo 'make test: FAILED; the first line above that says FAILED tells what.'; exit 1; }

test: need
	@$(MAKE) --no-print-directory NEED=: $(BESIDE) all layers unit lua-unit fuzz-replay test-modules || $(failed)
	@$(MAKE) --no-print-directory NEED=: $(BESIDE) $(FEWER) integration sanitized browser || $(failed)
	@$(MAKE) --no-print-directory NEED=: $(SANITIZED) integration || $(failed)
	@echo 'make test: everything passed, plain and under ASan and UBSan.'

sanitized: need
	@$(MAKE) --no-print-directory NEED=: $(PARALLEL) $(SANITIZED) all unit fuzz-replay

asan: sanitized
	@$(MAKE) --no-print-directory NEED=: $(SANITIZED) integration

$(B)/tests/%.o: tests/%.c | need
	@mkdir -p $(@D)
	$(call say,cc,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -Wno-conversion -c -o $@ $<

# Those that wait for seconds begin first: nothing waits for them at the end.
LONG  = $(addprefix run/unit/,script/test_sqlite script/test_vm content/test_cache http/test_h1_ends)
unit: $(LONG) $(UNITS:%=run/unit/%)
run/unit/%: $(B)/unit/%
	$(call run,unit/$*,$<)
$(B)/unit/%: $(B)/tests/unit/%.o $(B)/liblunette.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

# The test of the codings decodes what they make.
$(B)/tests/unit/content/test_coding.o: CPPFLAGS += $(CODINGS)
$(B)/unit/content/test_coding: LIBS += $(call libs,libbrotlidec)

# Tests of databases call SQLite, too.
$(B)/unit/script/test_sqlite $(B)/unit/script/test_sqlite_query: LIBS += $(call libs,sqlite3)

# The test of who goes first moves the clock by itself.
$(B)/unit/net/test_loop_fair: LDFLAGS += -Wl,--wrap=clock_gettime

# The test of what is fitted refuses allocations wherever they are made.
$(B)/unit/content/test_fit: LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc free)

lua-unit: $(LUATESTS:%=run/lua/%)
run/lua/%: tests/unit/lua/%.lua need
	$(call run,lua/$*,env LUA_PATH='src/lua/?.lua;src/lua/?/init.lua;;' lua5.4 $<)

# Every fuzz entry also links with a plain main, which replays corpus and regressions under gcc.
fuzz-replay: $(FUZZ:%=run/fuzz/%)
run/fuzz/%: $(B)/fuzz/%_replay
	$(call run,fuzz/$*,$< tests/fuzz/corpus/$* tests/fuzz/regression/$*)
$(B)/fuzz/%_replay: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(B)/liblunette.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# What pytest makes of the tests' modules is kept, for every process that reads them.
PYTEST = env -u MAKEFLAGS -u MFLAGS -u PYTHONDONTWRITEBYTECODE LUNETTE=$(abspath $(B)/lunette) \
         PYTHONPYCACHEPREFIX=$(abspath build/pycache) $(1) /usr/bin/python3 -m pytest -q -p no:cacheprovider
test-modules: need $(B)/lunette
	$(call run,test-modules,$(call PYTEST) --collect-only tests/integration)

# Several at a time: most of what a test does is waiting. Each of them has ports of its own
# (tests/integration/conftest.py), the browser's two beside up to six others. Beside a build, which leaves
# no processor idle, more of them only make each other late: there are fewer, unless TESTERS is given.
TESTERS  ?= 6
FEWER     = $(if $(filter file,$(origin TESTERS)),TESTERS=4)
integration: need $(B)/lunette
	@echo 'integration tests with $(B)/lunette'
	$(Q)$(call PYTEST,timeout 1200) -x -n $(TESTERS) tests/integration || \
	  { echo 'FAILED integration tests with $(B)/lunette'; exit 1; }

# Journeys in headless Chromium, with the servers of the integration tests.
browser: need $(B)/lunette
	@echo 'journeys in a browser with $(B)/lunette'
	$(Q)$(call PYTEST,timeout 600) -x -n 2 tests/browser || \
	  { echo 'FAILED journeys in a browser with $(B)/lunette'; exit 1; }

# Gigabytes and minutes; needs 8 GiB of disk where /tmp is. SOAK_SECONDS, SOAK_RELOADS and SOAK_KILLS
# are how long, and how often.
soak: need $(B)/lunette
	$(Q)LUNETTE=$(abspath $(B)/lunette) PYTHONDONTWRITEBYTECODE=1 timeout 3600 \
	  /usr/bin/python3 -m pytest -q -s -x -p no:cacheprovider tests/integration/soak.py \
  tests/integration/soak_faults.py

# libFuzzer, with clang: make fuzz [ONE=h1_parse] [RUNS=1000000]
RUNS ?= 1000000
ONE  ?= $(FUZZ)
fuzz:
	@$(NEED) clang libclang-rt-dev
	@for f in $(ONE); do .ci/fuzz $$f $(RUNS) || exit 1; done

# Benchmarks: tests/bench/README.md. Other servers take part where they are installed.
BENCH = PYTHONDONTWRITEBYTECODE=1 LUNETTE=$(abspath $(B)/lunette) /usr/bin/python3 tests/bench
bench: need $(B)/lunette
	@$(NEED) wrk python3
	$(Q)$(BENCH)/bench.py
bench-growth: need $(B)/lunette
	@$(NEED) wrk python3
	$(Q)$(BENCH)/growth.py
# Results into the guide: scripts/figures.json, and plots in site/.
bench-publish:
	@$(NEED) python3
	$(Q)$(BENCH)/publish.py
bench-instructions: need $(B)/lunette
	@$(NEED) valgrind strace python3
	$(Q)$(BENCH)/instructions.py

# Parsers and codecs by themselves, and lunette.json beside lua-cjson.
bench-micro: need $(B)/bench/micro_bench $(B)/bench/json_bench
	@$(NEED) lua-cjson python3
	$(Q)$(BENCH)/micro_report.py $(B)/bench/micro_bench -- $(B)/bench/json_bench tests/bench/json_1k.json
$(B)/bench/micro_bench: $(B)/tests/bench/micro_bench.o $(B)/liblunette.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# lunette.json beside lua-cjson: ratios of CPU time.
bench-json: need $(B)/bench/json_bench
	@$(NEED) lua-cjson
	$(Q)$(B)/bench/json_bench tests/bench/json_1k.json
$(B)/bench/json_bench: $(B)/tests/bench/json_bench.o $(B)/liblunette.a
	@mkdir -p $(dir $@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

bench-cache: need $(B)/bench/cache_bench
	$(Q)$(B)/bench/cache_bench
$(B)/bench/cache_bench: $(B)/tests/bench/cache_bench.o $(B)/liblunette.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# Lines of src that the tests run. The counters are writable by every user, since servers that are
# started as root become another one, and by workers in their sandbox.
COVER = B=build/cover SAN='--coverage -DCOVERAGE=\"$(CURDIR)/build/cover\"' OPT=-O0
cover: need
	@$(MAKE) --no-print-directory NEED=: $(PARALLEL) $(COVER) all build/cover/liblunette.a
	@find build/cover/obj -name '*.gcno' | sed 's/no$$/da/' | \
	  while read -r f; do : >"$$f"; chmod 666 "$$f"; done
	@$(MAKE) --no-print-directory NEED=: $(PARALLEL) $(COVER) unit fuzz-replay
	@$(MAKE) --no-print-directory NEED=: $(COVER) integration
	@.ci/cover build/cover

# --- the source ---

format:
	@$(NEED) clang-format
	clang-format -i $(TIDY)
lint:
	@$(NEED) clang-format cppcheck lua-check
	@clang-format --dry-run -Werror $(TIDY)
	@cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 \
	  --inline-suppr --suppress=missingIncludeSystem -Iinclude -D_GNU_SOURCE src
	@if command -v luacheck >/dev/null; then luacheck -q src scripts tests/*.lua tests/unit/lua; fi
	@echo 'lint: clean'
layers:
	@.ci/layers
sizes:
	@.ci/sizes

clean:
	rm -rf build

-include $(OBJ:.o=.d) $(TESTOBJ:.o=.d)
