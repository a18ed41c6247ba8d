#!/bin/sh
# Becomes the command it is given, with the secrets and the Dagster home that every process of a server needs.
#
#   start.sh dagster-daemon run --workspace /opt/pipeline/deploy/workspace.yaml
#   start.sh pipeline health
#
# A secret is a file: below CREDENTIALS_DIRECTORY (systemd) or /run/secrets (containers). One that is not there is left to
# the environment. It never appears in an argument, and the instance's file names variables only.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
secrets=${CREDENTIALS_DIRECTORY:-/run/secrets}

say() { echo "start.sh: $*" >&2; }

read_secret() { # variable, file
    if [ -r "$secrets/$2" ]; then
        value=$(cat "$secrets/$2")
        if [ -z "$value" ]; then
            say "the secret $2 is empty; write it into its file"
            exit 1
        fi
        export "$1=$value"
    fi
}

number() { # variable, default
    eval "value=\${$1:-$2}"
    case $value in
    '' | *[!0-9]* | 0*) say "$1 is '$value', expected a positive number of runs" && exit 1 ;;
    esac
    echo "$value"
}

read_secret PGPASSWORD warehouse_password
read_secret DAGSTER_POSTGRES_PASSWORD dagster_password
read_secret AWS_ACCESS_KEY_ID s3_access_key
read_secret AWS_SECRET_ACCESS_KEY s3_secret_key

: "${PIPELINE_HOME:?start.sh: set PIPELINE_HOME to the folder of the state}"
DAGSTER_HOME=$PIPELINE_HOME/dagster
export DAGSTER_HOME
mkdir -p "$DAGSTER_HOME" "${TMPDIR:-/tmp}"

# A copy, since a link would be taken for the laptop's. Several processes start at once: a rename is whole or not at all.
runs=$(number PIPELINE_MAX_RUNS 4)
backfill_runs=$(number PIPELINE_MAX_BACKFILL_RUNS 3)
copy=$DAGSTER_HOME/.dagster.yaml.$$
sed -e "s/^\( *max_concurrent_runs:\).*/\1 $runs/" -e "s/^\( *limit:\).*PIPELINE_MAX_BACKFILL_RUNS.*/\1 $backfill_runs/" \
    "$here/dagster.yaml" >"$copy"
# Where runs become processes: on this machine, unless a folder here says otherwise (celery, ecs, kubernetes).
case ${PIPELINE_RUN_LAUNCHER:-} in
'') ;;
celery | ecs | kubernetes) cat "$here/$PIPELINE_RUN_LAUNCHER/run_launcher.yaml" >>"$copy" ;;
*) say "PIPELINE_RUN_LAUNCHER is '$PIPELINE_RUN_LAUNCHER', expected celery, ecs or kubernetes" && exit 1 ;;
esac
mv -f "$copy" "$DAGSTER_HOME/dagster.yaml"

PATH=$here/../.venv/bin:$PATH
export PATH
cd "$DAGSTER_HOME"
exec "$@"
