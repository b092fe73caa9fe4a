# The two lines to know: `make lab` builds the lab and verifies it, `make test` runs every test.

VENV ?= .venv
PYTHON ?= python3
CLUSTERCTL := $(VENV)/bin/clusterctl
INVENTORY ?= inventory/local.yml
PLAYBOOK ?= playbooks/overlay.yml
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

INSTALL := $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive \
  apt-get install -qq -y --no-install-recommends

# A program, and the package that brings it. debian-archive-keyring is for Ubuntu, whose mmdebstrap lacks it.
PROGRAMS := systemd-nspawn:systemd-container mmdebstrap:mmdebstrap ip:iproute2 iptables:iptables \
  ssh-keygen:openssh-client setsid:util-linux
FILES := /usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring

# What tests look at results with: the probe image's shell, pictures, captures.
TEST_PROGRAMS := busybox:busybox-static dot:graphviz tshark:tshark

# What the VMs of test-vagrant need besides, on Debian.
VAGRANT_PACKAGES := vagrant vagrant-libvirt libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients \
  dnsmasq-base qemu-system-x86 qemu-utils slirp4netns dmidecode e2fsprogs

.PHONY: help lab down test unit lab-test test-long test-vagrant check bench format system test-system vagrant-system clean
.DEFAULT_GOAL := help

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

lab: system $(VENV)/.run  ## Build the two-host lab and verify it
	$(SUDO) $(CLUSTERCTL) up $(PLAYBOOK) -i $(INVENTORY)

down: $(VENV)/.run  ## Take the lab away without a trace
	$(SUDO) $(CLUSTERCTL) down -i $(INVENTORY) --yes

test: system test-system $(VENV)/.dev  ## Run the tests, unit and lab (root, or the lab's skip and say so)
	$(VENV)/bin/pytest -m 'not long'

test-long: system $(VENV)/.dev  ## Run the lab tests that take minutes each
	$(VENV)/bin/pytest -m long

unit: $(VENV)/.dev  ## Run the tests that need no host
	$(VENV)/bin/pytest tests/unit

lab-test: system $(VENV)/.dev  ## Run the tests on real hosts
	$(VENV)/bin/pytest tests/lab

test-vagrant: system vagrant-system $(VENV)/.dev  ## Run the tests on real VMs, by Vagrant
	$(SUDO) env CI=$(CI) tests/vagrant/run.sh $(abspath $(VENV))/bin/pytest tests/vagrant

check: $(VENV)/.dev  ## Lint, types and architecture
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.dev  ## Format the code
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

bench: system $(VENV)/.dev  ## Measure against raw parallel ssh; prints ratios
	$(SUDO) $(VENV)/bin/python tests/bench/bench.py
	$(SUDO) $(VENV)/bin/python tests/bench/lessons.py

system:
	@missing=; \
	for p in $(PROGRAMS); do command -v $${p%%:*} >/dev/null 2>&1 || missing="$$missing $${p##*:}"; done; \
	for f in $(FILES); do [ -e $${f%%:*} ] || missing="$$missing $${f##*:}"; done; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	[ -z "$$missing" ] || { echo "installing$$missing"; \
	  $(INSTALL) $$missing >/dev/null; }

# Ubuntu has chromium as a snap only: there the tests that look at the report in a browser skip and say so.
test-system:
	@missing=; \
	for p in $(TEST_PROGRAMS); do command -v $${p%%:*} >/dev/null 2>&1 || missing="$$missing $${p##*:}"; done; \
	[ -z "$$missing" ] || { echo "installing$$missing"; $(INSTALL) $$missing >/dev/null; }
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { echo "installing chromium"; \
	  $(INSTALL) chromium >/dev/null || \
	  echo "there is no chromium to install: the tests of the report in a browser are skipped"; }

vagrant-system:
	@[ "$$(id -u)" != 0 ] || ! command -v dpkg >/dev/null || dpkg -s $(VAGRANT_PACKAGES) >/dev/null 2>&1 || \
	{ echo "installing $(VAGRANT_PACKAGES)"; apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(VAGRANT_PACKAGES) >/dev/null; }

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | system $(VENV)/bin/pip
	$(VENV)/bin/pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | system $(VENV)/bin/pip
	$(VENV)/bin/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.run

clean:  ## Remove the virtual environment and caches of this checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
