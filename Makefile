# SPDX-License-Identifier: GPL-2.0-only
# Targets for people; `make help` is the default. What is compiled how stands
# in module/Kbuild, the version in dkms.conf.

KDIR ?= /lib/modules/$(shell uname -r)/build
OLDEST := 6.1
NEWEST := 7.2
vm := selftests/vm
tools := $(wildcard tools/*)

.DEFAULT_GOAL := help
.PHONY: help modules modules_install test_modules kernel-check tools tools_install \
	clean check check-debug dkms-check lint demo bench bench-rpc

help:
	@echo 'Building and installing:'
	@echo '  modules [KDIR=DIR]      build module/*.ko for the running kernel, or for'
	@echo '                          the one whose build directory is DIR'
	@echo '  modules_install [KDIR=] install them (as root)'
	@echo '  tools                   build the programs: copyfiled, the server that copies'
	@echo '                          for clients of backend=rpc'
	@echo '  tools_install [DESTDIR=] [PREFIX=/usr]'
	@echo '                          install them, their manuals and units (as root)'
	@echo '  clean                   remove what was built'
	@echo 'Testing, on stock Debian kernels in virtual machines:'
	@echo '  check [KERNEL=SERIES] [TEST=PREFIX]'
	@echo '                          build for and test on each of'
	@echo '                          $(shell awk '!/^#/ { print $$1 }' $(vm)/kernels)'
	@echo '  check-debug [TEST=PREFIX] [SOAK=SECONDS]'
	@echo '                          the same on a kernel that tells of mistakes, built once'
	@echo '                          (half an hour); SOAK= runs only the soak, for so long'
	@echo '                          on each lower'
	@echo '  dkms-check              dkms add, build, install, remove for each kernel'
	@echo '  lint                    checkpatch, W=1, sparse, kernel-doc, clang, groff,'
	@echo '                          shellcheck, codespell'
	@echo '  demo [KERNEL=SERIES]    show what is offloaded, in a virtual machine'
	@echo '  bench [KERNEL=SERIES] [CASES="icount wall"]'
	@echo '                          measure what offloadfs costs and saves, beside the'
	@echo '                          bare file system and overlayfs; a table, a CSV, an SVG'
	@echo '  bench-rpc [KERNEL=SERIES] [CASES="big parallel small lengths"]'
	@echo '                          time copies over NFS with and without offloadfs'

# Say so when the kernel is none of ours, rather than with compiler errors.
kernel-check:
	@rel=$$(cat '$(KDIR)/include/config/kernel.release' 2>/dev/null || \
		$(MAKE) -s -C '$(KDIR)' kernelversion 2>/dev/null); \
	if [ -z "$$rel" ]; then \
		echo 'error: $(KDIR) holds no kernel headers (KDIR= names another place)' >&2; \
		exit 1; \
	fi; \
	series=$$(echo "$$rel" | sed 's/^\([0-9]*\.[0-9]*\).*/\1/'); \
	if [ -z '$(FORCE)' ] && [ "$$(printf '%s\n' $(OLDEST) "$$series" $(NEWEST) | \
		sort -V | sed -n 2p)" != "$$series" ]; then \
		echo "error: offloadfs supports Linux $(OLDEST) to $(NEWEST), and this is $$rel (FORCE=1 tries all the same)" >&2; \
		exit 1; \
	fi

modules: kernel-check
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)/module' modules

modules_install: kernel-check
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)/module' INSTALL_MOD_DIR=updates modules_install

test_modules: modules
	$(MAKE) -C '$(KDIR)' M='$(CURDIR)/selftests/test_modules' \
		KBUILD_EXTRA_SYMBOLS='$(CURDIR)/module/Module.symvers' modules

# Apart from the modules, which need nothing but the kernel's headers.
tools:
	@set -e; for dir in $(tools); do $(MAKE) -C "$$dir"; done

tools_install:
	@set -e; for dir in $(tools); do $(MAKE) -C "$$dir" install; done

clean:
	$(if $(wildcard $(KDIR)),$(MAKE) -C '$(KDIR)' M='$(CURDIR)/module' clean)
	$(if $(wildcard $(KDIR)),$(MAKE) -C '$(KDIR)' M='$(CURDIR)/selftests/test_modules' clean)
	@set -e; for dir in $(tools); do $(MAKE) -C "$$dir" clean; done
	$(RM) -r build

check:
	@$(vm)/check.sh $(if $(KERNEL),-k '$(KERNEL)') $(if $(TEST),-t '$(TEST)')

check-debug:
	@$(vm)/debug.sh $(if $(TEST),-t '$(TEST)') $(if $(SOAK),-s '$(SOAK)')

dkms-check:
	@$(vm)/dkms.sh

lint:
	@$(vm)/lint.sh

demo:
	@$(vm)/demo.sh $(if $(KERNEL),'$(KERNEL)')

bench:
	@$(vm)/bench.sh $(if $(CASES),-c '$(CASES)') cost $(if $(KERNEL),'$(KERNEL)')

bench-rpc:
	@$(vm)/bench.sh $(if $(CASES),-c '$(CASES)') rpc $(if $(KERNEL),'$(KERNEL)')
