#!/bin/sh
# Make the plan of the day from FOLDER/weights.csv, and execute it: run.sh FOLDER
# A day has one plan: another run of the same day continues it, or returns its result. Exit codes: docs/daily-plan.md.
set -u
cd "${1:?usage: run.sh FOLDER}" || exit 2
made=$(rebalance plan from-weights weights.csv --strategy "${STRATEGY:-daily}" --output plan.json --json) || exit $?
hash=$(printf '%s\n' "$made" | sed -n 's/.*"content_hash": "\([0-9a-f]*\)".*/\1/p')
exec rebalance apply plan.json --hash "$hash" ${CONFIRM_ACCOUNT:+--confirm-account "$CONFIRM_ACCOUNT"}
