#!/bin/sh
# Make the plan of the day from FOLDER/weights.csv, and upload it as the object that the schedule executes:
# PLAN_BUCKET=… upload.sh FOLDER
set -u
cd "${1:?usage: upload.sh FOLDER}" || exit 2
rebalance plan from-weights weights.csv --strategy "${STRATEGY:-daily}" --output plan.json || exit $?
exec aws s3 cp plan.json "s3://${PLAN_BUCKET:?set PLAN_BUCKET}/${PLAN_KEY:-plans/today.json}"
