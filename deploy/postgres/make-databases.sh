#!/bin/sh
# Runs once, in an empty database server: the two databases and their logins, with passwords from secret files. What a
# login may do in the warehouse says the group it is a member of; migrations grant the groups their rights.
set -eu

secret() { cat "${SECRETS:-/run/secrets}/$1"; }

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set admin_password="$(secret admin_password)" \
    --set warehouse_password="$(secret warehouse_password)" \
    --set dagster_password="$(secret dagster_password)" <<'SQL'
SELECT format('CREATE ROLE %I NOLOGIN', name)
FROM unnest(ARRAY['pipeline_reader', 'pipeline_loader', 'pipeline_migrator']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

CREATE ROLE pipeline_admin LOGIN PASSWORD :'admin_password' CONNECTION LIMIT 10;
CREATE ROLE pipeline_app LOGIN PASSWORD :'warehouse_password' CONNECTION LIMIT 120;
CREATE ROLE dagster LOGIN PASSWORD :'dagster_password' CONNECTION LIMIT 120;
GRANT pipeline_loader TO pipeline_migrator; -- who hands continuous aggregates over must be a member
GRANT pipeline_migrator TO pipeline_admin;
GRANT pipeline_loader, pipeline_reader TO pipeline_app;

CREATE DATABASE market OWNER pipeline_admin;
CREATE DATABASE dagster OWNER dagster;
REVOKE ALL ON DATABASE market, dagster FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE market TO pipeline_reader, pipeline_loader, pipeline_migrator;
SQL
