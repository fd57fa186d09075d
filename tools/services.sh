#!/usr/bin/env bash
# Finds or starts the servers that the tests need; `make test` calls it first. Quick when they are there.
#
# Each server is looked for at its environment variable, then where this script started it the last time, then at its
# standard port. If it is nowhere, it is started: with Docker Compose where an engine answers, else from Debian's
# packages when root. Where neither is possible, the script says what to do and fails. A server that is not at its
# standard port is written to .services.env, which `make test` reads. To add a server, write a function like postgresql.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

found=.services.env

say() { printf '%s\n' "$*" >&2; }

# The last value that the file of found servers has for a variable, else nothing.
remembered() { sed -n "s|^$1=||p" "$found" 2>/dev/null | tail -n 1; }

remember() { # remember VARIABLE VALUE DEFAULT: keep the value for `make test`, unless it is what tests try anyway
    local others
    others=$(grep -v "^$1=" "$found" 2>/dev/null || true)
    if [ "$2" != "$3" ]; then others="$others${others:+$'\n'}$1=$2"; fi
    if [ -n "$others" ]; then printf '%s\n' "$others" >"$found"; else rm -f "$found"; fi
}

free_port() { # free_port PORT: the first port from PORT on at which nothing listens
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

compose_works() { docker version >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

debian_root() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

debian_install() { # debian_install PROGRAM PACKAGE
    type -P "$1" >/dev/null && return # command -v would find functions of this script
    say "Installing Debian's package $2 ..."
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends "$2"; } >/dev/null
}

# --- PostgreSQL ------------------------------------------------------------------------------------------------------

postgresql_default=postgresql://postgres@127.0.0.1:5432/postgres

postgresql_answers() { # postgresql_answers URL: lets us in, and lets us make databases
    .venv/bin/python - "$1" <<'PYTHON'
import sys
import psycopg

try:
    with psycopg.connect(sys.argv[1], connect_timeout=3) as connection:
        row = connection.execute(
            "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
except psycopg.Error as error:
    sys.exit(f"  {str(error).strip()}")
sys.exit(None if row and row[0] else "  this role may not create databases")
PYTHON
}

postgresql_from_compose() { # postgresql_from_compose PORT
    say "Starting PostgreSQL with Docker Compose on port $1 ..."
    SIGNALBOX_TEST_POSTGRESQL_PORT=$1 docker compose --file deploy/compose.test.yaml up --detach --wait postgresql >&2
}

postgresql_from_debian() { # postgresql_from_debian PORT: a cluster of our own; Debian's "main" asks for passwords
    local version cluster=signalbox_test
    debian_install pg_createcluster postgresql
    # The port is asked again: installing may have started "main" at the one that was free.
    version=$(pg_lsclusters --no-header | awk -v name=$cluster '$2 == name { print $1 }')
    if [ -z "$version" ]; then
        version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1)
        say "Making a PostgreSQL $version cluster for tests ..."
        pg_createcluster --port "$(free_port "$1")" --start-conf manual "$version" $cluster -- \
            --auth-local=trust --auth-host=trust >/dev/null
    fi
    pg_lsclusters --no-header "$version" $cluster | grep -q online || pg_ctlcluster "$version" $cluster start
    pg_lsclusters --no-header "$version" $cluster | awk '{ print $3 }'
}

postgresql() {
    local variable=SIGNALBOX_TEST_POSTGRESQL_URL url port
    if [ -n "${SIGNALBOX_TEST_POSTGRESQL_URL:-}" ]; then # somebody's decision: no other server takes its place
        remember $variable $postgresql_default $postgresql_default # forgets: what is set may hold a password
        postgresql_answers "$SIGNALBOX_TEST_POSTGRESQL_URL" && return
        say "PostgreSQL: $variable is set, but its server does not serve (see above). Correct it, or unset it."
        return 1
    fi
    for url in $(remembered $variable) $postgresql_default; do
        if postgresql_answers "$url" 2>/dev/null; then remember $variable "$url" $postgresql_default; return; fi
    done
    port=$(free_port 5432)
    if compose_works; then
        postgresql_from_compose "$port"
    elif debian_root; then
        port=$(postgresql_from_debian "$port")
    else
        say "The tests need PostgreSQL, and nothing lets the role postgres in at 127.0.0.1:5432 without a password. Either"
        say "  start Docker (with Compose) and run this again,"
        say "  or, on Debian and Ubuntu, run as root:  make services"
        say "  or name a server of your own (any role that may create databases):"
        say "     export $variable=postgresql://user:password@host:5432/postgres"
        return 1
    fi
    url=postgresql://postgres@127.0.0.1:$port/postgres
    postgresql_answers "$url" || { say "PostgreSQL was started on port $port but does not answer."; return 1; }
    remember $variable "$url" $postgresql_default
    say "PostgreSQL for tests: $url"
}

# --- Redis -----------------------------------------------------------------------------------------------------------

redis_default=redis://127.0.0.1:6379/0

redis_answers() { # redis_answers URL: lets us in, and lets us write
    .venv/bin/python - "$1" <<'PYTHON'
import sys
import redis

try:
    with redis.Redis.from_url(sys.argv[1], socket_timeout=3, socket_connect_timeout=3) as client:
        client.set("signalbox-test:services", "1", ex=1)
except (redis.RedisError, ValueError) as error:
    sys.exit(f"  {error}")
PYTHON
}

redis_from_compose() { # redis_from_compose PORT
    say "Starting Redis with Docker Compose on port $1 ..."
    SIGNALBOX_TEST_REDIS_PORT=$1 docker compose --file deploy/compose.test.yaml up --detach --wait redis >&2
}

redis_from_debian() { # redis_from_debian PORT: a server of our own that keeps nothing on disk
    debian_install redis-server redis-server
    redis-server --port "$1" --bind 127.0.0.1 --save '' --appendonly no --daemonize yes >/dev/null
    for _ in $(seq 50); do
        redis_answers "redis://127.0.0.1:$1/0" 2>/dev/null && return
        sleep 0.1
    done
}

redis() {
    local variable=SIGNALBOX_TEST_REDIS_URL url port
    if [ -n "${SIGNALBOX_TEST_REDIS_URL:-}" ]; then # somebody's decision: no other server takes its place
        remember $variable $redis_default $redis_default # forgets: what is set may hold a password
        redis_answers "$SIGNALBOX_TEST_REDIS_URL" && return
        say "Redis: $variable is set, but its server does not serve (see above). Correct it, or unset it."
        return 1
    fi
    for url in $(remembered $variable) $redis_default; do
        if redis_answers "$url" 2>/dev/null; then remember $variable "$url" $redis_default; return; fi
    done
    port=$(free_port 6379)
    if compose_works; then
        redis_from_compose "$port"
    elif debian_root; then
        redis_from_debian "$port"
    else
        say "The tests need Redis, and none answers at 127.0.0.1:6379 without a password. Either"
        say "  start Docker (with Compose) and run this again,"
        say "  or, on Debian and Ubuntu, run as root:  make services"
        say "  or name a server of your own:  export $variable=redis://:password@host:6379/0"
        return 1
    fi
    url=redis://127.0.0.1:$port/0
    redis_answers "$url" || { say "Redis was started on port $port but does not answer."; return 1; }
    remember $variable "$url" $redis_default
    say "Redis for tests: $url"
}

# --- RabbitMQ --------------------------------------------------------------------------------------------------------

rabbitmq_default=amqp://guest:guest@127.0.0.1:5672/

rabbitmq_answers() { # rabbitmq_answers URL: lets us in, and lets us make exchanges
    .venv/bin/python - "$1" <<'PYTHON'
import asyncio
import sys
import aio_pika


async def ask() -> None:
    connection = await aio_pika.connect(sys.argv[1], timeout=3)
    async with connection:
        channel = await connection.channel()
        await channel.declare_exchange("signalbox-test-services", auto_delete=True)
        await channel.exchange_delete("signalbox-test-services")


try:
    asyncio.run(asyncio.wait_for(ask(), 10))
except (TimeoutError, *aio_pika.exceptions.CONNECTION_EXCEPTIONS) as error:
    sys.exit(f"  {type(error).__name__}: {error}")
PYTHON
}

rabbitmq_from_compose() { # rabbitmq_from_compose PORT
    say "Starting RabbitMQ with Docker Compose on port $1 ..."
    SIGNALBOX_TEST_RABBITMQ_PORT=$1 docker compose --file deploy/compose.test.yaml up --detach --wait rabbitmq >&2
}

rabbitmq_from_debian() { # rabbitmq_from_debian PORT: a node of our own, which keeps its data in a temporary folder
    local folder
    debian_install rabbitmq-server rabbitmq-server
    folder=$(mktemp --directory)
    echo "listeners.tcp.1 = 127.0.0.1:$1" >"$folder/rabbitmq.conf"
    chown -R rabbitmq: "$folder"
    RABBITMQ_NODENAME=signalbox_test@localhost RABBITMQ_CONFIG_FILE=$folder/rabbitmq.conf RABBITMQ_MNESIA_BASE=$folder \
        RABBITMQ_LOG_BASE=$folder RABBITMQ_DIST_PORT=$(free_port "$(($1 + 20000))") \
        rabbitmq-server -detached >/dev/null 2>&1
    for _ in $(seq 60); do
        rabbitmq_answers "amqp://guest:guest@127.0.0.1:$1/" 2>/dev/null && return
        sleep 0.5
    done
}

rabbitmq() {
    local variable=SIGNALBOX_TEST_RABBITMQ_URL url port
    if [ -n "${SIGNALBOX_TEST_RABBITMQ_URL:-}" ]; then # somebody's decision: no other server takes its place
        remember $variable $rabbitmq_default $rabbitmq_default # forgets: what is set may hold a password
        rabbitmq_answers "$SIGNALBOX_TEST_RABBITMQ_URL" && return
        say "RabbitMQ: $variable is set, but its server does not serve (see above). Correct it, or unset it."
        return 1
    fi
    for url in $(remembered $variable) $rabbitmq_default; do
        if rabbitmq_answers "$url" 2>/dev/null; then remember $variable "$url" $rabbitmq_default; return; fi
    done
    port=$(free_port 5672)
    if compose_works; then
        rabbitmq_from_compose "$port"
    elif debian_root; then
        rabbitmq_from_debian "$port"
    else
        say "The tests need RabbitMQ, and none lets guest in at 127.0.0.1:5672. Either"
        say "  start Docker (with Compose) and run this again,"
        say "  or, on Debian and Ubuntu, run as root:  make services"
        say "  or name a server of your own:  export $variable=amqp://user:password@host:5672/"
        return 1
    fi
    url=amqp://guest:guest@127.0.0.1:$port/
    rabbitmq_answers "$url" || { say "RabbitMQ was started on port $port but does not answer."; return 1; }
    remember $variable "$url" $rabbitmq_default
    say "RabbitMQ for tests: $url"
}

# --- Chromium --------------------------------------------------------------------------------------------------------

chromium() { # pages are tested in a real browser
    local name
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        if type -P $name >/dev/null; then return; fi # command -v would find this function
    done
    if debian_root; then
        debian_install chromium chromium
    else
        say "The tests of pages need Chromium or Chrome on the PATH (chromium, google-chrome). Install it, for example with"
        say "  apt-get install chromium   (Debian, as root)"
        return 1
    fi
}

postgresql
redis
rabbitmq
chromium
