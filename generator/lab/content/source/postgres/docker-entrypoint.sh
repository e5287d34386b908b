#!/bin/bash
# Start Postgres, after making its database on an empty volume; takes the official image's variables:
# POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE, PGDATA. Never runs as root.
set -eu -o pipefail

if [[ ${1:-} == -* ]]; then
    set -- postgres "$@"
fi
[[ ${1:-} == postgres ]] || exec "$@"

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}
mkdir -p "$PGDATA"
chmod 0700 "$PGDATA" 2>/dev/null || :

if [[ ! -s $PGDATA/PG_VERSION ]]; then
    if [[ -n ${POSTGRES_PASSWORD_FILE:-} ]]; then
        POSTGRES_PASSWORD=$(<"$POSTGRES_PASSWORD_FILE")
    fi
    if [[ -z ${POSTGRES_PASSWORD:-} ]]; then
        echo "error: POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE must be given for an empty $PGDATA" >&2
        exit 1
    fi
    # Made beside its final place and moved there with PG_VERSION last: a start that is cut short begins anew.
    new=$PGDATA/.new
    find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
    initdb --pgdata="$new" --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        --encoding=UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 \
        --set=listen_addresses='*' --set=jit=off --set=log_timezone=Etc/UTC --set=timezone=Etc/UTC
    echo 'host all all all scram-sha-256' >>"$new/pg_hba.conf"
    if [[ $database != postgres ]]; then
        printf 'CREATE DATABASE "%s"\n' "${database//\"/\"\"}" | postgres --single -D "$new" postgres >/dev/null
    fi
    find "$new" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
    sync "$PGDATA"
    mv "$new/PG_VERSION" "$PGDATA/"
    rmdir "$new"
fi
unset POSTGRES_PASSWORD

exec "$@"
