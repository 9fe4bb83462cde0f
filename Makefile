# run, test, mutants, check, chaos, bench, bench-scale, openapi, rooms, documents, name-tables: each sets up what it needs.

NPM_FLAGS ?= --no-audit --no-fund --loglevel=error

.DEFAULT_GOAL := help
.PHONY: help run build test mutants check rooms documents openapi bench bench-scale chaos name-tables clean FORCE

help:
	@echo 'make run      install, build and serve on http://127.0.0.1:8000 with demo data'
	@echo 'make test     run the whole suite; FILES="test/config/load.test.ts" runs some of it'
	@echo 'make mutants  remove one guard at a time and run its tests, for MUTANTS_MINUTES=30 at most; goes on where it'
	@echo '              stopped; ONLY=csrf runs one area'
	@echo 'make check    types, lint, formatting, import rules, and whether openapi/openapi.json and docs/rooms.md are up to date'
	@echo 'make openapi  write openapi/openapi.json'
	@echo 'make rooms    write docs/rooms.md, the picture of which room imports which'
	@echo 'make documents  write the table of settings in README.md, and .env.example'
	@echo 'make build    install and compile to dist/'
	@echo 'make name-tables CONFUSABLES=confusables.txt  write src/auth/name-tables.ts anew, from the file of that name in the'
	@echo '              folder of a Unicode version at unicode.org/Public/security/; keys of names need a migration then'
	@echo 'make bench    compare with other servers, and measure logins, lists, start-up and memory;'
	@echo '              BENCH_ROUNDS=1 BENCH_ONLY=ours is quick'
	@echo 'make chaos    make databases, Redis, servers and clocks fail under load, and print how that went;'
	@echo '              QUICK=1 runs half of it, ONLY=redis,clock what has such a name'
	@echo 'make bench-scale  measure one instance and two, with their database and Redis'

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
	rm -rf dist
	npx --no-install tsc -p tsconfig.json
	@touch $@

build: dist/.built

run: build
	node dist/src/main.js serve

test: build
	node dist/test/support/runner.js $(FILES)

mutants: build
	node dist/test/mutants/run.js

# What imports what, held against tools/imports/rules.mjs.
CRUISE = npx --no-install depcruise --config tools/imports/rules.mjs src plugins routes
ROOMS = $(CRUISE) --output-type json | node tools/imports/picture.mjs

check: build
	npx --no-install biome check --error-on-warnings .
	$(CRUISE)
	$(ROOMS) | diff -u docs/rooms.md - || (echo 'docs/rooms.md is stale: run make rooms' && exit 1)
	$(OPENAPI) | diff -u openapi/openapi.json - || (echo 'openapi/openapi.json is stale: run make openapi' && exit 1)
	REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true npx --no-install redocly lint openapi/openapi.json

rooms: node_modules/.package-lock.json
	$(ROOMS) > docs/rooms.md.new && mv docs/rooms.md.new docs/rooms.md

documents: build
	node dist/tools/write-documents.js

openapi: build
	$(OPENAPI) > openapi/openapi.json.new && mv openapi/openapi.json.new openapi/openapi.json

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

clean:
	rm -rf dist node_modules bench/contenders/node_modules
