# Two commands set everything up: "make demo" and "make test". The others are for people who change the code.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

DEMO   := fixtures/merajutasa/violating/production

TOOLS  := $(HOME)/.cache/kubeassay/tools

.PHONY: help demo test test-live tools browser readers lock lint format generate generated-check smoke bench bench-live
.PHONY: clean

help:
	@echo "make demo     create .venv, install, scan the bundled example, write SARIF and HTML"
	@echo "make test     install what the tests need, and run them"
	@echo "make test-live  build a real API server, once (needs Go, takes minutes), and run the tests that ask it;"
	@echo "              with KUBECONFIG=FILE those that fit any cluster, on that one: they make and remove objects"
	@echo "make browser  install Chromium (apt) and axe-core (npm), in which the tests open the HTML report"
	@echo "make tools    build Kustomize and Helm, once (needs Go): tests render deploy/ with them, and skip without"
	@echo "make readers  install programs that read reports, once, outside of the tree: tests ask them where they are there"
	@echo "make lint     lint, format, types and layers"
	@echo "make generate write the generated files again (docs, tables of fields)"
	@echo "make lock     write what the image is made of anew, with the newest versions and their hashes"
	@echo "make smoke    build the wheel, install it alone, scan with it; take the steps of the Dockerfile without Docker"
	@echo "make bench    measure, side by side with other scanners where they are installed"
	@echo "make bench-live  measure an audit of 5,000 pods beside kubectl's reading of them, on a real API server"
	@echo "              (needs Go, once minutes of building); PODS='1000 5000 20000' for other sizes"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("kubeassay needs Python 3.11 or later" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(VENV)/.installed
	@mkdir -p demo
	@$(BIN)/kubeassay scan $(DEMO) --profile merajutasa/production --fail-on none --allow-incomplete \
	    --output json=demo/result.json --output sarif=demo/result.sarif --output html=demo/report.html 2>/dev/null
	@$(BIN)/kubeassay report demo/result.json >demo/report.txt
	@head -n 60 demo/report.txt
	@echo "  …"
	@echo
	@$(BIN)/kubeassay report demo/result.json --quiet
	@echo
	@echo "The same as files:"
	@echo "  demo/report.html   for a browser"
	@echo "  demo/result.sarif  for GitHub code scanning"
	@echo "  demo/report.txt    for a terminal: all findings, with lines, clauses, and how to mend"
	@echo "  demo/result.json   for programs; $(BIN)/kubeassay report demo/result.json renders it again"

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST)

# A kubeconfig counts only where it is named on the command line, not one that the environment happens to name.
test-live: $(VENV)/.installed-dev
ifeq ($(origin KUBECONFIG),command line)
	KUBEASSAY_LIVE_KUBECONFIG="$(KUBECONFIG)" $(BIN)/python -m pytest -m live tests/live
else
	$(BIN)/python tests/live/build.py
	KUBEASSAY_LIVE_KUBECONFIG= $(BIN)/python -m pytest -m live tests/live
endif

browser: $(VENV)/.installed-dev
	$(BIN)/python tests/browser/tools.py

tools: $(BIN)/python
	$(BIN)/python .ci/go_tools.py

# compliance-trestle pins other versions than ours, so it has a folder of its own.
readers: $(VENV)/.installed-dev
	@mkdir -p $(TOOLS)
	@if command -v npm >/dev/null; then \
	    test -e $(TOOLS)/node_modules/.bin/sarif-multitool || \
	        npm install --silent --no-audit --no-fund --prefix $(TOOLS) @microsoft/sarif-multitool; \
	else echo "npm is not there: tests of the SARIF multitool are skipped"; fi
	@test -d $(TOOLS)/trestle/trestle || \
	    $(BIN)/python -m pip install --quiet --target $(TOOLS)/trestle compliance-trestle

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.installed-dev
	$(BIN)/python .ci/generate_fields.py
	$(BIN)/python .ci/generate_docs.py
	$(BIN)/python .ci/generate_merajutasa.py
	$(BIN)/python .ci/generate_deploy.py

generated-check: $(VENV)/.installed-dev
	$(BIN)/python .ci/generate_fields.py --check
	$(BIN)/python .ci/generate_docs.py --check
	$(BIN)/python .ci/generate_merajutasa.py --check
	$(BIN)/python .ci/generate_deploy.py --check

# What the image is made of, newest versions: their hashes, for all platforms and from Python 3.11 on.
lock: $(VENV)/.installed-dev
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --extra cluster \
	    --no-header --no-annotate --no-emit-index-url pyproject.toml --output-file deploy/image/requirements.txt

smoke: $(VENV)/.installed-dev
	@bash .ci/smoke
	@$(BIN)/python tests/deploy/image_steps.py

bench: $(VENV)/.installed
	$(BIN)/python tests/bench/bench.py
	$(BIN)/python tests/bench/analyses.py

PODS ?= 5000

bench-live: $(VENV)/.installed-dev
	$(BIN)/python tests/live/build.py
	$(BIN)/python tests/bench/cluster.py --pods $(PODS)

clean:
	rm -rf $(VENV) demo dist build
