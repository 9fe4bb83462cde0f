# Each target installs and builds what it needs.

NPM_FLAGS ?= --no-audit --no-fund --loglevel=error

.DEFAULT_GOAL := help
.PHONY: help run dev build test test-clients mutants check clients docs screenshots bench bench-scale chaos fuzz name-tables clean FORCE

help:
	@echo 'make run      install, build and serve on http://localhost:8000 with demo data'
	@echo 'make dev      the same; compiles and restarts after each change'
	@echo 'make test     run the whole suite; FILES="test/config/load.test.ts" runs some of it'
	@echo 'make test-clients  run programs with Guzzle and requests, and a Nuxt application in a browser; needs PHP, Python, Chromium'
	@echo 'make check    types, lint, formatting, words, import rules, and whether generated documents are up to date'
	@echo 'make clients  generate clients from the OpenAPI document, and run a program with each; part of make check'
	@echo 'make docs     write the generated documents: openapi/openapi.json, .env.example, pages in docs/'
	@echo 'make build    install and compile to dist/'
	@echo 'make mutants  remove one guard at a time and run its tests, for at most MUTANTS_MINUTES=30; continues where it'
	@echo '              stopped; ONLY=csrf runs one area'
	@echo 'make chaos    make databases, Redis, servers and clocks fail under load, and print the results;'
	@echo '              QUICK=1 runs half of it, ONLY=redis,clock only those faults'
	@echo 'make fuzz     send valid, boundary and broken requests made from the OpenAPI document, and compare the answers with it;'
	@echo '              FUZZ_REQUESTS=5000 is quick, FUZZ_SEED=1 repeats a run'
	@echo 'make bench    compare with other servers, and measure logins, lists, start-up and memory;'
	@echo '              BENCH_ROUNDS=1 BENCH_ONLY=ours is quick'
	@echo 'make bench-scale  measure one instance and two, with their database and Redis'
	@echo 'make screenshots  write docs/screenshots; needs Chromium'
	@echo 'make name-tables CONFUSABLES=confusables.txt  write src/auth/name-tables.ts from the file of that name in the'
	@echo '              folder of a Unicode version at unicode.org/Public/security/; keys of names need a migration then'

# Not npm ci: it insists on the binaries of every platform, and not every registry has them all.
node_modules/.package-lock.json: package.json package-lock.json
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); if (a < 20 || (a === 20 && b < 19)) { console.error("Node 20.19 or newer is needed, this is " + process.version); process.exit(1) }'
	npm install --no-save $(NPM_FLAGS)
	@touch $@

# Without this shell's variables and .env: the document is the one of the defaults.
OPENAPI = (cd openapi && env -i "$$(command -v node)" ../dist/src/main.js openapi)

SOURCES := $(sort $(shell find src plugins routes test bench tools -name node_modules -prune -o \( -name '*.ts' -o -name '*.tsx' \) -print))

# Rewritten when a source comes or goes: what has no source any more is not to stay in dist/.
node_modules/.sources: node_modules/.package-lock.json FORCE
	@printf '%s\n' $(SOURCES) | cmp -s - $@ || printf '%s\n' $(SOURCES) > $@

dist/.built: node_modules/.package-lock.json node_modules/.sources tsconfig.json $(SOURCES)
	rm -rf dist/.built $(filter-out dist/assets,$(wildcard dist/*))
	npx --no-install tsc -p tsconfig.json
	@touch $@

dist/assets/.built: node_modules/.package-lock.json tools/swagger-ui-assets.ts | dist/.built
	node dist/tools/swagger-ui-assets.js
	@touch $@

build: dist/.built dist/assets/.built

run: build
	node dist/src/main.js serve

dev: build
	node tools/dev.mjs

test: build
	node dist/test/support/runner.js $(FILES)

clients/nuxt/node_modules/.package-lock.json: clients/nuxt/package.json clients/nuxt/package-lock.json
	cd clients/nuxt && npm install --no-save $(NPM_FLAGS)
	@touch $@

# The runner builds the application while programs wait. Installing takes as long as compiling.
test-clients:
	@$(MAKE) --no-print-directory -j2 build clients/nuxt/node_modules/.package-lock.json
	node dist/test/clients/run.js

mutants: build
	node dist/test/mutants/run.js

# What imports what, checked against tools/imports/rules.mjs.
CRUISE = npx --no-install depcruise --config tools/imports/rules.mjs src plugins routes
MODULES = $(CRUISE) --output-type json | node tools/imports/picture.mjs

check: build
	npx --no-install biome check --error-on-warnings .
	node dist/tools/words.js
	$(CRUISE)
	node dist/tools/write-docs.js --check
	$(MODULES) | diff -u docs/modules.md - || (echo 'docs/modules.md is outdated: run make docs' && exit 1)
	$(OPENAPI) | diff -u openapi/openapi.json - || (echo 'openapi/openapi.json is outdated: run make docs' && exit 1)
	REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --no-install redocly lint --extends recommended-strict openapi/openapi.json
	@$(MAKE) --no-print-directory clients

clients/node_modules/.package-lock.json: clients/package.json clients/package-lock.json
	cd clients && npm install --no-save $(NPM_FLAGS)
	@touch $@

clients: build clients/node_modules/.package-lock.json
	rm -rf clients/generated
	cd clients && npx --no-install openapi-typescript ../openapi/openapi.json --output generated/openapi-typescript.d.ts
	cd clients && npx --no-install openapi-ts
	cd clients && npx --no-install tsc
	node dist/tools/run-clients.js

docs: build
	node dist/tools/write-docs.js
	$(MODULES) > docs/modules.md.new && mv docs/modules.md.new docs/modules.md
	$(OPENAPI) > openapi/openapi.json.new && mv openapi/openapi.json.new openapi/openapi.json

screenshots: build
	node dist/tools/screenshots.js

name-tables: build
	node dist/tools/name-tables.js $(CONFUSABLES) > dist/name-tables.new && mv dist/name-tables.new src/auth/name-tables.ts

bench/contenders/node_modules/.package-lock.json: bench/contenders/package.json bench/contenders/package-lock.json
	cd bench/contenders && npm install --no-save $(NPM_FLAGS)
	@touch $@

bench: build bench/contenders/node_modules/.package-lock.json
	node dist/bench/run.js

bench-scale: build bench/contenders/node_modules/.package-lock.json
	node dist/bench/scale.js

chaos: build
	node dist/test/chaos/run.js

fuzz: build
	node dist/test/fuzz/run.js

clean:
	rm -rf dist node_modules bench/contenders/node_modules clients/node_modules clients/generated clients/nuxt/node_modules clients/nuxt/.nuxt clients/nuxt/.output
