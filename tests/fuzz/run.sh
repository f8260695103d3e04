#!/bin/sh
# run.sh FUZZER CORPUS: tries the corpus and a number of inputs made from it, the same ones on any
# machine: files in the order of their names, no mutations made from what is compared (addresses),
# no choice by time; a slow fuzzer or machine tries the first of them only. `./dev fuzz` searches;
# this shows that nothing came back.
set -eu
name=$(basename "$1")
seeds=$(find "$2" -type f | LC_ALL=C sort | paste -s -d ,)
# An exit status of 77, libFuzzer's own choice, would mean "skipped" to meson.
exec "$1" -seed=1 -runs=50000 -use_cmp=0 -entropic=0 -max_total_time=20 \
    -error_exitcode=1 -artifact_prefix="${name#fuzz_}-" -seed_inputs="$seeds"
