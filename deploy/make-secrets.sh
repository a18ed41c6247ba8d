#!/bin/sh
# Makes what compose.yaml mounts as secrets: random passwords, keys of the object store, a certificate that is signed by
# itself, and the first user of the UI, whose password is printed once. Nothing that exists is changed.
#   deploy/make-secrets.sh deploy/secrets [user]
set -eu
umask 077
folder=${1:?usage: make-secrets.sh FOLDER [USER]}
user=${2:-desk}
mkdir -p "$folder"
chmod 700 "$folder" # the files are readable for the containers' users; who may reach them is the folder's to say

make() { # file, command that gives its content
    file=$folder/$1
    shift
    if [ ! -e "$file" ]; then
        "$@" >"$file.new"
        chmod 444 "$file.new"
        mv "$file.new" "$file"
        echo "made $file" >&2
    fi
}

random() { openssl rand -hex 24; }
key() { openssl rand -hex 10 | tr '[:lower:]' '[:upper:]'; }
identities() {
    printf '{"identities": [{"name": "pipeline", "credentials": [{"accessKey": "%s", "secretKey": "%s"}],' \
        "$(cat "$folder/s3_access_key")" "$(cat "$folder/s3_secret_key")"
    printf ' "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}\n'
}
broker_url() { printf 'redis://:%s@broker:6379/0\n' "$(cat "$folder/broker_password")"; }
first_user() {
    password=$(openssl rand -base64 18)
    echo "the UI: user $user, password $password (kept nowhere else)" >&2
    printf '%s:%s\n' "$user" "$(openssl passwd -6 "$password")"
}

make postgres_password random
make admin_password random
make warehouse_password random
make dagster_password random
make broker_password random
make broker_url broker_url
make s3_access_key key
make s3_secret_key random
make s3_identities.json identities
make ui_users first_user
if [ ! -e "$folder/ui_key.pem" ]; then
    openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj "/CN=$(hostname)" \
        -keyout "$folder/ui_key.pem" -out "$folder/ui_certificate.pem" 2>/dev/null
    chmod 444 "$folder/ui_key.pem" "$folder/ui_certificate.pem"
    echo "made $folder/ui_certificate.pem: put your own authority's in its place" >&2
fi
