# lunette: `make serve` builds and serves this repository's own site; `make test` runs every test.
# Objects go to build/, those of the sanitized variant to build/asan/. NEED=: skips the package check.

NEED       ?= .ci/need
BUILD_NEEDS = gcc libc6-dev make pkg-config liblua5.4-dev
TEST_NEEDS  = $(BUILD_NEEDS) libcmocka-dev python3 python3-pytest python3-requests curl lua5.4

CC       = gcc
B       ?= build
SAN     ?=
OPT     ?= -O2
WARN     = -Wall -Wextra -Wshadow -Wconversion -Werror
HARDEN   = -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
CFLAGS  += -std=gnu11 $(OPT) -g -fno-omit-frame-pointer $(WARN) $(HARDEN) $(SAN)
CPPFLAGS += -D_GNU_SOURCE -Iinclude $(LUA_CFLAGS) -MMD -MP
LDFLAGS += -pie -Wl,-z,relro,-z,now -Wl,-E $(SAN)

LUA_CFLAGS = $(shell pkg-config --cflags lua5.4 2>/dev/null)
# Lua is linked in whole, so that C modules installed for Lua 5.4 find every function of it in the program.
LUA_LIBS   = -Wl,--whole-archive -l:liblua5.4.a -Wl,--no-whole-archive -lm -ldl
LIBS       = $(LUA_LIBS) -pthread

SRC   := $(sort $(wildcard src/*/*.c))
LUA   := $(sort $(wildcard src/lua/*.lua src/lua/*/*.lua))
MAIN  := src/app/main.c
OBJ   := $(SRC:src/%.c=$(B)/obj/%.o) $(B)/obj/modules.o
LIBOBJ := $(filter-out $(B)/obj/app/main.o,$(OBJ))
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(sort $(wildcard tests/unit/*/test_*.c)))
FUZZ  := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
LUATESTS := $(sort $(wildcard tests/unit/lua/test_*.lua))

# One short line a step; V=1 shows the commands.
Q    = $(if $(V),,@)
say  = @$(if $(V),:,printf '%5s %s\n' '$(1)' '$(2)')

.DEFAULT_GOAL := all
.PHONY: all need serve test need-test unit lua-unit integration asan fuzz fuzz-replay cover format lint \
        layers sizes clean
.SECONDARY:

all: need $(B)/lunette

need:
	@$(NEED) $(BUILD_NEEDS)
need-test:
	@$(NEED) $(TEST_NEEDS)

$(B)/lunette: $(OBJ)
	$(call say,link,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/liblunette.a: $(LIBOBJ)
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/obj/%.o: src/%.c | need
	@mkdir -p $(@D)
	$(call say,cc,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# The Lua library, inside the program: one .incbin a module, and a table of names (script/vm.h).
$(B)/modules.S: $(LUA) Makefile
	@mkdir -p $(@D)
	@{ echo '.section .rodata'; n=0; for f in $(LUA); do \
	     m=$$(echo $$f | sed 's,^src/lua/,,; s,\.lua$$,,; s,/,.,g; s,\.init$$,,'); n=$$((n+1)); \
	     printf 'name%d: .asciz "%s"\ntext%d: .incbin "%s"\nend%d: .byte 0\n' $$n $$m $$n $$f $$n; done; \
	   echo '.section .data.rel.ro,"aw"'; echo '.balign 8'; echo '.globl vm_modules'; echo 'vm_modules:'; \
	   n=0; for f in $(LUA); do n=$$((n+1)); \
	     printf '.quad name%d, text%d, end%d - text%d\n' $$n $$n $$n $$n; done; \
	   echo '.quad 0, 0, 0'; echo '.section .note.GNU-stack,"",%progbits'; } > $@
$(B)/obj/modules.o: $(B)/modules.S $(LUA)
	@mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

serve: all
	$(B)/lunette serve . --dev

# Everything: units and integration plain, then both again under ASan and UBSan.
test: need-test
	$(MAKE) NEED=: all layers unit lua-unit fuzz-replay integration
	$(MAKE) NEED=: asan

unit: $(UNITS)
	@for t in $^; do echo "== $$t"; $$t || exit 1; done
lua-unit: $(B)/lunette
	@for t in $(LUATESTS); do echo "== $$t"; LUA_PATH='src/lua/?.lua;src/lua/?/init.lua;;' lua5.4 $$t || exit 1; done

$(B)/unit/%: tests/unit/%.c $(B)/liblunette.a
	@mkdir -p $(@D)
	$(call say,test,$@)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(CFLAGS) -Wno-conversion $(LDFLAGS) -o $@ $< $(B)/liblunette.a $(LIBS) -lcmocka

integration: $(B)/lunette
	LUNETTE=$(abspath $(B)/lunette) /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=all
asan:
	$(MAKE) NEED=: B=build/asan SAN="$(SANITIZE)" OPT=-O1 all unit fuzz-replay integration

# Every fuzz entry also links with a plain main, which replays corpus and regressions under gcc.
fuzz-replay: $(FUZZ:%=$(B)/fuzz/%_replay)
	@for f in $(FUZZ); do echo "== fuzz $$f"; \
	  $(B)/fuzz/$${f}_replay tests/fuzz/corpus/$$f tests/fuzz/regression/$$f || exit 1; done
$(B)/fuzz/%_replay: tests/fuzz/fuzz_%.c tests/fuzz/replay.c $(B)/liblunette.a
	@mkdir -p $(@D)
	$(call say,fuzz,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Wno-conversion $(LDFLAGS) -o $@ $(filter %.c,$^) $(B)/liblunette.a $(LIBS)

# libFuzzer, with clang: make fuzz [ONE=h1_parse] [RUNS=1000000]
RUNS ?= 1000000
ONE  ?= $(FUZZ)
fuzz:
	@$(NEED) clang libclang-rt-14-dev
	@for f in $(ONE); do .ci/fuzz $$f $(RUNS) || exit 1; done

cover:
	$(MAKE) B=build/cover OPT="-O0 --coverage" HARDEN=-fPIE unit fuzz-replay lua-unit integration
	.ci/cover build/cover

format:
	clang-format -i $(SRC) $(wildcard include/*/*.h tests/unit/*/*.c tests/fuzz/*.c)
lint:
	@$(NEED) clang-format cppcheck
	clang-format --dry-run -Werror $(SRC) $(wildcard include/*/*.h tests/unit/*/*.c tests/fuzz/*.c)
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --error-exitcode=1 \
	  --inline-suppr --suppress=missingIncludeSystem -Iinclude -D_GNU_SOURCE src
layers:
	@.ci/layers
sizes:
	@.ci/sizes

clean:
	rm -rf build

-include $(OBJ:.o=.d) $(UNITS:=.d)
