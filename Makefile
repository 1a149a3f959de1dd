# shmaudit: build, show, test, install. `make help` lists the targets.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
BINDIR ?= $(PREFIX)/bin
INCLUDEDIR ?= $(PREFIX)/include
DESTDIR ?=
CARGO ?= cargo
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MAJOR := 0
LIBRARY := target/release/libshmaudit.so

# One package at a time: what the command asks of a crate must not reach the library, which has no std.
.PHONY: all
all: ## build the library, its header and the command
	$(CARGO) build --release -p shmaudit
	$(CARGO) build --release -p shmaudit-cli

.PHONY: demo
demo: all ## audit an example that leaks: its log, its report
	@mkdir -p target/demo
	@$(CC) -g -o target/demo/leak c-tests/leak_posix.c $$(sed -n 's/^libs: //p' c-tests/leak_posix.expect)
	@echo '$$ LD_PRELOAD=libshmaudit.so ./leak'
	@cd target/demo && LD_PRELOAD=$(CURDIR)/$(LIBRARY) ./leak; status=$$?; rm -f /dev/shm/shmaudit-leak_posix; exit $$status

.PHONY: test
test: all wrong ## run every test that needs nothing but cargo, gcc and make; what needs more says so
	$(CARGO) test --release -p shmaudit-core
	$(CARGO) test --release -p shmaudit-cli

.PHONY: wrong
wrong: ## build the library with deliberately wrong ways, for the tests that must notice them
	$(CARGO) build --profile wrong -p shmaudit --features wrong

.PHONY: bench
bench: all ## time the library beside the bare program and every tracer that is installed
	$(CARGO) bench -p shmaudit-cli --bench bars -- $(BENCH)

.PHONY: check
check: ## formatting and lints, as CI has them
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release -p shmaudit -- -D warnings
	$(CARGO) clippy --release -p shmaudit-core --all-targets -- -D warnings
	$(CARGO) clippy --release -p shmaudit-cli --all-targets -- -D warnings

.PHONY: roots
roots: all ## run programs of Debian 11, 13 and sid under the library (root, debootstrap, network)
	c-tests/roots.sh $(CURDIR)/$(LIBRARY)

.PHONY: install
install: all ## install below DESTDIR/PREFIX
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(BINDIR) $(DESTDIR)$(INCLUDEDIR)
	install -s -m 755 $(LIBRARY) $(DESTDIR)$(LIBDIR)/libshmaudit.so.$(VERSION)
	ln -sf libshmaudit.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libshmaudit.so.$(MAJOR)
	ln -sf libshmaudit.so.$(MAJOR) $(DESTDIR)$(LIBDIR)/libshmaudit.so
	install -m 755 target/release/shmaudit $(DESTDIR)$(BINDIR)/shmaudit
	install -m 644 include/shmaudit.h $(DESTDIR)$(INCLUDEDIR)/shmaudit.h
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: shmaudit' \
	  'Description: Shared memory as libc has it, with logging and leak tracking' 'Version: $(VERSION)' \
	  'Libs: -L$${libdir} -Wl,--push-state,--no-as-needed -lshmaudit -Wl,--pop-state' 'Cflags: -I$${includedir}' > $(DESTDIR)$(LIBDIR)/pkgconfig/shmaudit.pc

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(LIBDIR)/libshmaudit.so $(DESTDIR)$(LIBDIR)/libshmaudit.so.$(MAJOR) \
	  $(DESTDIR)$(LIBDIR)/libshmaudit.so.$(VERSION) $(DESTDIR)$(LIBDIR)/pkgconfig/shmaudit.pc \
	  $(DESTDIR)$(BINDIR)/shmaudit $(DESTDIR)$(INCLUDEDIR)/shmaudit.h

.PHONY: clean
clean: ## remove what was built
	$(CARGO) clean

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile
