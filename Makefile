# One line each: `make` lists them. CI runs the same recipes.
# CRATES selects a part of the workspace, as in `make test CRATES="-p stun -p turn"`.

CRATES ?=

.PHONY: help
help: ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' $(MAKEFILE_LIST) | awk '{ name = $$1; $$1 = ""; printf "make %-19s%s\n", name, $$0 }'

.PHONY: demo
demo: ## build everything and start the tutorial on this machine
	cargo run --release -- demo

.PHONY: test
test: ## get what the tests need, check and test everything
	@scripts/test $(CRATES)

.PHONY: test-quick
test-quick: ## the tests that need nothing but Rust, without the checks
	@scripts/test --quick $(CRATES)

.PHONY: lint
lint: ## format, clippy, docs, shell scripts; warnings are errors
	@scripts/lint $(CRATES)

.PHONY: parts
parts: ## get what the tests need (Debian, root), or say what is missing
	@scripts/parts

.PHONY: format
format: ## format the code
	cargo fmt --all

.PHONY: pages
pages: ## write manual pages and completion scripts of all programs to target/pages
	@scripts/pages

.PHONY: bless
bless: ## accept what the golden tests print now; read the diff before committing
	BLESS=1 INSTA_UPDATE=always cargo test --locked --no-fail-fast $(if $(CRATES),$(CRATES),--workspace --exclude interop --exclude e2e --exclude cluster --exclude node)
	git status --short

.PHONY: crds
crds: ## write the custom resource definitions anew, into deploy/crds
	BLESS=1 cargo test --locked -p gateway --test crds

.PHONY: manifests
manifests: ## write what is made from the chart and the definitions of kinds anew
	BLESS=1 cargo test --locked -p install --test install

# ARGS as in `make images ARGS="--arch aarch64 stunnerd"`; ARGS=--help says more.
.PHONY: images
images: ## build the container images (needs buildah and a C compiler for musl)
	@scripts/images $(ARGS)

.PHONY: node-test
node-test: ## the tutorial on a whole Kubernetes, with pods and two browsers (Linux, root)
	@scripts/parts
	cargo test --locked -p node --test node

.PHONY: cluster-up
cluster-up: ## a whole Kubernetes on this machine with everything installed, to try it out (Linux, root)
	@cargo run --quiet --locked -p node -- up

.PHONY: cluster-down
cluster-down: ## remove that Kubernetes and all that belongs to it
	@cargo run --quiet --locked -p node -- down

# ARGS goes to the program, as in `make bench ARGS="--only headless --rounds 9"`; ARGS=--help says more.
.PHONY: bench
bench: ## this project, coturn and a bare forwarder in one table of measurements
	@cargo build --release --locked -p bench -p stunnerd
	@target/release/bench $(ARGS)

.PHONY: bench-quick
bench-quick: ## the most telling part of that table, in less than two minutes
	@cargo build --release --locked -p bench -p stunnerd
	@target/release/bench --quick $(ARGS)

.PHONY: bench-flood
bench-flood: ## calls while 100 000 addresses flood the server, beside the same flood at a bare forwarder
	@cargo build --release --locked -p bench -p stunnerd
	@target/release/bench flood $(ARGS)

.PHONY: bench-micro
bench-micro: ## time the codec, look-ups and rewriting, without sockets
	cargo bench --locked -p bench --bench kernels -- $(ARGS)

# ARGS as in `make bench-operator ARGS="real 100"`; ARGS=--help says more.
.PHONY: bench-operator
bench-operator: ## the operator with many Gateways, on a real API server and without
	@cargo build --release --locked -p cluster -p stunner-operator
	@STUNNER_BIN_DIR=target/release target/release/bench-operator $(ARGS)

# BLESS=1 makes what is counted now the baseline.
.PHONY: bench-instructions
bench-instructions: ## count their instructions and compare with the baseline in the repository
	@cargo build --release --locked -p bench
	@target/release/bench instructions $(ARGS)

# SECONDS is for each target, TARGETS some of them, as in `make fuzz SECONDS=600 TARGETS="server yaml"`.
SECONDS ?= 60
.PHONY: fuzz
fuzz: ## look for inputs that break a promise; what is found is kept in tests/fuzz/found
	CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
	cargo run --release --locked --target-dir target/fuzz -p fuzz -- $(SECONDS) $(TARGETS)

# CASES is for sequences of about 75 operations each.
CASES ?= 14000
.PHONY: soak
soak: ## the TURN server against the naive model, over a million operations
	PROPTEST_CASES=$(CASES) cargo test --release --locked -p turn --test server -- model

.PHONY: deny
deny: ## licences, bans and advisories of dependencies (needs cargo-deny)
	cargo deny --locked check

.PHONY: clean
clean: ## remove what was built and what the tests fetched
	cargo clean
	rm -rf .cache
