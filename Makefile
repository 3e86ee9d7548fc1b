# make install      install the pinned requirements into .venv; all others do so, too, where it is needed
# make run          the study on the bundled sample: ingestion, eleven models, report
# make test         lint, format and imports, then types and all tests side by side
# make test-fast    all tests except whole pipelines and long trainings
# make mutants ONLY='mixvision.evaluation.metrics*'
#                   mutation testing: change the code in small ways and list the changes that no test notices;
#                   without ONLY all of splits, mixtures, evaluation and sweep, which takes hours
# make fuzz         decode 20,000 mutated image files: no crash, no error, no long wait
# make chaos ONLY="kills disk" COUNT=20 SEED=1
#                   kill runs, fill disks, damage files, start two at once, stop MLflow's server: nothing may be lost;
#                   without ONLY all of these, which takes hours
# make mlflow       show the runs in MLflow
# make viz          show the pipeline in kedro-viz
# make study NAME=weeds NICE=photos/catalogue REAL=photos/field
#                   make an environment for your own images; NICE or REAL alone is enough
# make lock         resolve requirements.lock again from pyproject.toml

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
UV := 0.13.8
CHILDREN ?= 1

# Without bytecode on disk, each process compiles all libraries again: half of the time of a start.
unexport PYTHONDONTWRITEBYTECODE

# kedro mlflow ui looks for mlflow on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: install run test suite test-fast lint types mutants fuzz chaos mlflow viz study lock
.DEFAULT_GOAL := run

install: $(READY)

run: $(READY)
	$(BIN)/kedro run --pipelines=mixing

test: lint
	$(MAKE) --jobs=2 types suite

suite: $(READY)
	$(BIN)/pytest --numprocesses=auto --dist=worksteal

test-fast: $(READY)
	$(BIN)/pytest --numprocesses=auto --dist=worksteal -m "not slow"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest --quiet --noconftest tests/test_imports.py

types: $(READY)
	$(BIN)/mypy

mutants: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children $(CHILDREN) $(foreach name,$(ONLY),'$(name)')
	$(BIN)/mutmut results | sed '/not checked/d'

fuzz: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fuzzing.py

chaos: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/chaos $(if $(ONLY),--only $(ONLY)) $(if $(COUNT),--count $(COUNT)) --seed $(or $(SEED),0)

mlflow: $(READY)
	$(BIN)/kedro mlflow ui

viz: $(READY)
	$(BIN)/kedro viz run

study: $(READY)
	$(BIN)/kedro study $(NAME) $(if $(NICE),--nice "$(NICE)") $(if $(REAL),--real "$(REAL)")

lock: $(READY)
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --output-file requirements.lock
	echo uv==$(UV) | $(BIN)/uv pip compile - --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --output-file requirements-uv.lock

$(READY): requirements.lock requirements-uv.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mixvision needs Python 3.11 or newer.")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-uv.lock
	$(BIN)/uv pip install --python $(BIN)/python --require-hashes --requirements requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	touch $(READY)
