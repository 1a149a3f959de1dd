# shmaudit: build, show, test, install. `make help` lists the targets.

# The GNU standards' names of directories count as well: prefix, libdir, bindir, includedir, datadir, mandir.
PREFIX ?= $(or $(prefix),/usr/local)
# 1 for the directory that the compiler's libraries are in (lib/x86_64-linux-gnu), or that directory's name.
MULTIARCH ?=
LIBDIR ?= $(or $(libdir),$(PREFIX)/lib$(if $(MULTIARCH),/$(if $(filter 1,$(MULTIARCH)),$(shell $(CC) -print-multiarch),$(MULTIARCH))))
BINDIR ?= $(or $(bindir),$(PREFIX)/bin)
INCLUDEDIR ?= $(or $(includedir),$(PREFIX)/include)
DATADIR ?= $(or $(datadir),$(PREFIX)/share)
MANDIR ?= $(or $(mandir),$(DATADIR)/man)
DESTDIR ?=
CARGO ?= cargo
STRIP ?= strip
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
MAJOR := 0
BUILT := $(or $(CARGO_TARGET_DIR),target)
LIBRARY := $(BUILT)/release/libshmaudit.so
COMMAND := $(BUILT)/release/shmaudit
# The command that writes manual and completions, where the one to be installed is another machine's.
HERE ?= $(COMMAND)

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
	@cd target/demo && LD_PRELOAD=$(abspath $(LIBRARY)) ./leak; status=$$?; rm -f /dev/shm/shmaudit-leak_posix; exit $$status

.PHONY: test
test: all wrong ## run every test that needs nothing but cargo, gcc and make; what needs more says so
	$(CARGO) test --release -p shmaudit-core
	$(CARGO) test --release -p shmaudit-cli

.PHONY: wrong
wrong: ## build the library with deliberately wrong ways, for the tests that must notice them
	$(CARGO) build --profile wrong -p shmaudit --features wrong

.PHONY: sanitize
sanitize: ## the core, the ring on threads, and the library in the C scenarios under ASan, LSan and TSan (minutes; rustc's runtimes)
	CARGO="$(CARGO)" c-tests/sanitize.sh $(PARTS)

.PHONY: real
real: all ## run real programs plain and audited, for longer than `make test` does (root, the programs)
	SHMAUDIT_REAL=1 $(CARGO) test --release -p shmaudit-cli --test e2e -- real::

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
	c-tests/roots.sh $(abspath $(LIBRARY))

# The trials are this machine's program, the library and the C programs the other's.
CROSS ?= aarch64
.PHONY: cross
cross: ## build for aarch64 and run the C scenarios there, by qemu's user mode; says what it needs
	c-tests/cross.sh --check $(CROSS)
	export CROSS=$(CROSS) CARGO_TARGET_$(shell echo $(CROSS) | tr a-z A-Z)_UNKNOWN_LINUX_GNU_LINKER=$(abspath c-tests/cross-cc) && \
	  $(CARGO) build --release -p shmaudit --target $(CROSS)-unknown-linux-gnu && \
	  $(CARGO) build --release -p shmaudit-cli --target $(CROSS)-unknown-linux-gnu
	$(CARGO) test --release -p shmaudit-cli --test e2e --no-run
	trials=$$($(CARGO) test --release -p shmaudit-cli --test e2e --no-run 2>&1 | sed -n 's/.*(\(.*e2e-[0-9a-f]*\))$$/\1/p') && \
	  c-tests/cross.sh $(CROSS) $(abspath $(BUILT))/$(CROSS)-unknown-linux-gnu/release/libshmaudit.so "$$(realpath "$$trials")" \
	    $(abspath $(BUILT))/$(CROSS)-unknown-linux-gnu/release/shmaudit

# Root may have no cargo: what is built already is not built again.
.PHONY: install
install: ## install below DESTDIR/PREFIX; MULTIARCH=1 for Debian's library directory
	test -e $(LIBRARY) -a -e $(COMMAND) || $(MAKE) all
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(INCLUDEDIR)" \
	  "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(MANDIR)/man3" "$(DESTDIR)$(MANDIR)/man7" \
	  "$(DESTDIR)$(DATADIR)/bash-completion/completions" "$(DESTDIR)$(DATADIR)/zsh/vendor-completions" \
	  "$(DESTDIR)$(DATADIR)/fish/vendor_completions.d"
	install -m 644 $(LIBRARY) "$(DESTDIR)$(LIBDIR)/libshmaudit.so.$(VERSION)"
	$(STRIP) "$(DESTDIR)$(LIBDIR)/libshmaudit.so.$(VERSION)"
	ln -sf libshmaudit.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libshmaudit.so.$(MAJOR)"
	ln -sf libshmaudit.so.$(MAJOR) "$(DESTDIR)$(LIBDIR)/libshmaudit.so"
	install -m 755 $(COMMAND) "$(DESTDIR)$(BINDIR)/shmaudit"
	$(STRIP) "$(DESTDIR)$(BINDIR)/shmaudit"
	install -m 644 include/shmaudit.h "$(DESTDIR)$(INCLUDEDIR)/shmaudit.h"
	pages=$$(mktemp -d) && $(HERE) man $$pages && \
	  for page in $$pages/*; do install -m 644 $$page "$(DESTDIR)$(MANDIR)/man$${page##*.}/"; done && rm -r $$pages
	$(HERE) completions bash > "$(DESTDIR)$(DATADIR)/bash-completion/completions/shmaudit"
	$(HERE) completions zsh > "$(DESTDIR)$(DATADIR)/zsh/vendor-completions/_shmaudit"
	$(HERE) completions fish > "$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/shmaudit.fish"
	printf '%s\n' 'prefix=$(or $(PCPREFIX),$(PREFIX))' 'libdir=$(subst $(PREFIX)/,$${prefix}/,$(LIBDIR))' \
	  'includedir=$(subst $(PREFIX)/,$${prefix}/,$(INCLUDEDIR))' '' 'Name: shmaudit' \
	  'Description: Flight recorder for shared memory: who made it, where, and who never removed it' 'Version: $(VERSION)' \
	  'Libs: -L$${libdir} -Wl,--push-state,--no-as-needed -lshmaudit -Wl,--pop-state' 'Cflags: -I$${includedir}' \
	  > "$(DESTDIR)$(LIBDIR)/pkgconfig/shmaudit.pc"

.PHONY: uninstall
uninstall: ## remove what install put there
	rm -f "$(DESTDIR)$(LIBDIR)/libshmaudit.so" "$(DESTDIR)$(LIBDIR)/libshmaudit.so.$(MAJOR)" \
	  "$(DESTDIR)$(LIBDIR)/libshmaudit.so.$(VERSION)" "$(DESTDIR)$(LIBDIR)/pkgconfig/shmaudit.pc" \
	  "$(DESTDIR)$(BINDIR)/shmaudit" "$(DESTDIR)$(INCLUDEDIR)/shmaudit.h" \
	  "$(DESTDIR)$(MANDIR)"/man1/shmaudit.1 "$(DESTDIR)$(MANDIR)"/man1/shmaudit-*.1 "$(DESTDIR)$(MANDIR)"/man3/shmaudit_*.3 \
	  "$(DESTDIR)$(MANDIR)/man7/libshmaudit.7" "$(DESTDIR)$(DATADIR)/bash-completion/completions/shmaudit" \
	  "$(DESTDIR)$(DATADIR)/zsh/vendor-completions/_shmaudit" "$(DESTDIR)$(DATADIR)/fish/vendor_completions.d/shmaudit.fish"

# The command without any library, where cargo has the target for it; else as it is built here.
STATIC := $(shell uname -m)-unknown-linux-musl
DIST := shmaudit-$(VERSION)-$(shell uname -m)-linux
PACK := tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@$(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || echo 0))

.PHONY: dist
dist: ## the source, and the library with a static command, as tarballs in target/dist
	@git rev-parse HEAD >/dev/null 2>&1 || { echo 'make dist needs git and a clone of the repository: the source is what is committed' >&2; exit 2; }
	rm -rf target/dist && mkdir -p target/dist
	git archive --prefix=shmaudit-$(VERSION)/ HEAD | gzip -9n > target/dist/shmaudit-$(VERSION).tar.gz
	$(CARGO) build --release -p shmaudit
	if [ -d "$$(rustc --print target-libdir --target $(STATIC))" ]; then \
	  $(CARGO) build --release -p shmaudit-cli --target $(STATIC) && command=$(BUILT)/$(STATIC)/release/shmaudit; \
	else \
	  echo 'make dist: no target $(STATIC): the command will need this C library'; \
	  $(CARGO) build --release -p shmaudit-cli && command=$(COMMAND); \
	fi && $(MAKE) install DESTDIR=target/dist/$(DIST) PREFIX= COMMAND=$$command PCPREFIX='$$$${pcfiledir}/../..'
	cp README.md CHANGELOG.md LICENSE target/dist/$(DIST)/
	$(PACK) -C target/dist -c $(DIST) | gzip -9n > target/dist/$(DIST).tar.gz
	rm -rf target/dist/$(DIST)

MAINTAINER ?= $(shell git log -1 --format='%an <%ae>' 2>/dev/null)

.PHONY: deb-needs
deb-needs:
	@$(CARGO) deb --version >/dev/null 2>&1 || { echo 'make deb needs cargo-deb: cargo install cargo-deb' >&2; exit 2; }
	@command -v dpkg-deb >/dev/null || { echo 'make deb needs dpkg-deb, as Debian and its relatives have it' >&2; exit 2; }
	@[ -n '$(MAINTAINER)' ] || { echo "make deb needs to know who packs it: make deb MAINTAINER='Name <address>'" >&2; exit 2; }

.PHONY: deb
deb: deb-needs all ## a Debian package in target/deb (needs cargo-deb: cargo install cargo-deb)
	rm -rf target/deb && mkdir -p target/deb
	$(MAKE) install DESTDIR=target/deb/root PREFIX=/usr MULTIARCH=1
	{ printf 'shmaudit (%s-1) unstable; urgency=medium\n\n' $(VERSION) && \
	  awk '/^## / { on = $$2 == "$(VERSION)"; next } on' CHANGELOG.md | sed -n 's/^- /  * /p; t; s/^  /    /p' && \
	  printf '\n -- %s  %s\n' '$(MAINTAINER)' "$$(date -uR -d "$$(sed -n 's/^## $(VERSION) of //p' CHANGELOG.md)")"; \
	} > target/deb/changelog
	$(CARGO) deb --no-build --no-strip -p shmaudit-cli --maintainer '$(MAINTAINER)' --output target/deb/
	@# What cargo-deb does not write: which package a program needs that was linked with the library.
	dpkg-deb -R target/deb/*.deb target/deb/tree
	echo 'libshmaudit $(MAJOR) shmaudit (>= $(VERSION))' > target/deb/tree/DEBIAN/shlibs
	dpkg-deb --root-owner-group -b target/deb/tree target/deb/*.deb && rm -r target/deb/tree

.PHONY: deb-check
deb-check: deb ## lintian; install, run and remove the package in fresh Debian roots (root, debootstrap, network)
	c-tests/deb.sh target/deb/*.deb $(VERSION)

.PHONY: clean
clean: ## remove what was built
	$(CARGO) clean

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1	/p' Makefile
