# make demo     set-up, then the whole road on a simulated season, offline, into demo/
# make test     set-up, then the tests
# make docs     the documentation as a site, into build/site, with every link checked
# make bounds   the tests with the oldest packages that pyproject.toml allows
# make wheel    the wheel alone, in a clean environment without a network, runs the demo
# make check    set-up, then the heavy suites (demo, examples, kills), two files of tests at a time; needs the data sets (AGRIFM_DATA)
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# the data sets of the examples; `make check` fails where they are absent
export AGRIFM_DATA ?= $(abspath ../shared/data)
# two processes run the tests of `test` and `check`; with more threads than cores they would wait for each other
test check: export OMP_NUM_THREADS = 1
TODAY := $(shell date +%Y-%m-%d)
LOG = benchmarks/results/$(TODAY)-check.txt

.PHONY: install demo test docs bounds wheel check lint
.DELETE_ON_ERROR:

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "agrifm needs Python 3.11 or newer: make PYTHON=python3.11"; exit 2; }
	@start=$$(date +%s); echo "install: agrifm and its packages into $(VENV), once; some minutes"; \
	( while sleep 20 >/dev/null 2>&1; do echo "install: $$(($$(date +%s) - start)) s so far"; done ) & ticking=$$!; trap "kill $$ticking" EXIT; \
	$(PYTHON) -m venv $(VENV) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[deep,classic,files,report,serve,export,s3,dask,dev]' && \
	echo "install: $$(($$(date +%s) - start)) s"
	@touch $@

# in a terminal the page opens at the end, until Ctrl+C
demo: install
	@start=$$(date +%s); $(BIN)/agrifm demo demo && echo "make demo without installation: $$(($$(date +%s) - start)) s" && \
	if [ -t 1 ]; then $(BIN)/agrifm serve demo; fi

test: install
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "not check"

docs: install
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict && echo "open build/site/index.html; with search: $(BIN)/python -m http.server --directory build/site, then http://127.0.0.1:8000/"

bounds:
	$(PYTHON) tests/lower_bounds.py $(VENV)-bounds

wheel: install
	AGRIFM_PYTHON=$(PYTHON) $(BIN)/python -m pytest -m check -rP tests/test_wheel.py

check: install
	@mkdir -p $(dir $(LOG)); { echo "make check, $(TODAY), $$($(PYTHON) --version), $$(git rev-parse --short HEAD)"; \
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder -m check --durations 0 -v -rP; echo "exit code $$?"; } 2>&1 | sed -e 's|$(CURDIR)|.|g' -e 's|/[^ ]*/pytest-of-[^/]*/pytest-[^/]*/|TMP/|g' | tee $(LOG); grep -q '^exit code 0' $(LOG)

lint: install
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
