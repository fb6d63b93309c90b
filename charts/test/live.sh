#!/usr/bin/env bash
# Installs the charts where pods really run, and looks whether Brokkr works: install, helm test, a stack that becomes healthy, upgrade,
# rollback, uninstall, and what is left.
#   KUBECONFIG=... charts/test/live.sh [VARIANT...]     all-in-one, microservices, apart, external-postgres, namespaced, tls, external-broker, oci,
#                                                       upgrade, quickstart
# The cluster has to find the images of charts/*/values.yaml, at TAG. LOAD is a command that is called with each of these
# names first (kind: 'kind load docker-image'); REGISTRY/charts, on a loopback address, is where the oci variant pushes to; with PUBLISH=1, where the
# nodes can pull from it, the images as well, and both are installed from there.
# upgrade installs the charts of the git revision FROM first (default: the newest tag before this commit). quickstart runs docs/quickstart.md as
# it is printed, in the namespace of the kubeconfig. VOLUME is an empty folder of the node that everybody may write to, for the database's
# volume where the cluster has no default StorageClass; without one the database has no volume there. TIMEOUT (Helm's) and LIMIT (seconds
# from install to healthy) are for slow machines. external-broker runs a broker beside the cluster, at BROKER_HOST, an address of this
# machine that pods reach, with a private PostgreSQL; WITHIN is a command that runs another one where that address is, if it is not here.
# BROKKR is the command line to use, by default one that is built. Each variant makes a namespace of its own and deletes it.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${KUBECONFIG:?the cluster to install into}"
tag=${TAG:-v0.1.0} registry=${REGISTRY:-127.0.0.1:5000} limit=${LIMIT:-300}
helm=$(tools/build.sh helm)
kubectl=${KUBECTL:-kubectl}
work=$(mktemp -d)
namespaces=() volumes=() forward='' outside=''
read -ra within <<<"${WITHIN:-}"
cleanup() {
  [ -z "$outside" ] || { "${within[@]}" kill "$(cat "$work/outside")" || kill "$outside" || true; wait "$outside" || true; } 2>/dev/null
  [ -z "$forward" ] || kill "$forward" 2>/dev/null || true
  [ ${#volumes[@]} -eq 0 ] || "$kubectl" delete persistentvolume "${volumes[@]}" --ignore-not-found --wait=false >/dev/null
  [ ${#namespaces[@]} -eq 0 ] || "$kubectl" delete namespace "${namespaces[@]}" --ignore-not-found --wait=false >/dev/null
  rm -rf "$work"
}
trap cleanup EXIT
chmod 711 "$work" # PostgreSQL is run as a user of its own
brokkr=${BROKKR:-$work/brokkr} server=$work/brokkr-broker at=()
cli() { ${at[@]+"${at[@]}"} "$brokkr" "$@"; }
[ -n "${BROKKR:-}" ] || CGO_ENABLED=0 go build -o "$brokkr" ./cmd/brokkr
export XDG_CONFIG_HOME=$work/config
failed() { echo "FAILED: $*" >&2; "$kubectl" -n "$ns" get pods >&2 || true; "$kubectl" -n "$ns" get events --sort-by=.lastTimestamp 2>/dev/null | tail -15 >&2 || true; exit 1; }

if [ -n "${LOAD:-}" ]; then
  for name in brokkr-broker brokkr-api brokkr-gateway brokkr-scheduler brokkr-agent brokkr-cli; do $LOAD "ghcr.io/colliery-io/$name:$tag"; done
fi
persistence=false
"$kubectl" get storageclass -o jsonpath='{.items[*].metadata.annotations.storageclass\.kubernetes\.io/is-default-class}' | grep -q true && persistence=true

# A volume on the node for the claim of one namespace, where nobody makes volumes by themselves.
volume() {
  local name=$1
  volumes+=("$name")
  "$kubectl" apply -f - >/dev/null <<Y
apiVersion: v1
kind: PersistentVolume
metadata: {name: $name}
spec:
  capacity: {storage: 8Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {namespace: $name, name: data-brokkr-broker-postgresql-0}
  hostPath: {path: $VOLUME, type: Directory}
Y
}

# What of the installation is in the namespace, without what Kubernetes puts into every one.
remains() {
  "$kubectl" api-resources --namespaced --verbs=list -o name | grep -vE '^(events|events\.events\.k8s\.io|leases\.coordination\.k8s\.io|pods\.metrics\.k8s\.io|endpointslices.*|endpoints)$' | paste -sd, - |
    xargs -I{} "$kubectl" -n "$ns" get {} -o name --ignore-not-found | grep -vE '^(configmap/kube-root-ca.crt|serviceaccount/default)$' || true
  "$kubectl" get clusterrole,clusterrolebinding -l "app.kubernetes.io/part-of=brokkr" -o name | grep "$ns-" || true
}

until_gone() { # the pods of an uninstalled release end within their grace
  for _ in $(seq 90); do [ -n "$(remains)" ] || return 0; sleep 1; done
  return 1
}

secrets() { "$kubectl" -n "$ns" get secret brokkr-broker-keys brokkr-broker-admin brokkr-broker-database --ignore-not-found -o jsonpath='{range .items[*]}{.data}{end}' 2>/dev/null | cksum; }

tested() { # both charts say that they work
  local release
  for release in brokkr-broker brokkr-agent; do
    "$helm" test "$release" -n "$ns" --timeout 2m >"$work/test" 2>&1 || { cat "$work/test" >&2; "$kubectl" -n "$ns" logs "$release-test" >&2 || true; failed "helm test $release"; }
    [ "${1:-}" = former ] || grep -q 'Phase: *Succeeded' "$work/test" || { cat "$work/test" >&2; failed "helm test $release has no test"; }
  done
  echo "   helm test of both charts passed"
}

forwarded() { # PORT SERVICE:PORT
  [ -z "$forward" ] || kill "$forward" 2>/dev/null || true
  "$kubectl" -n "$ns" port-forward "service/${2%:*}" "$1:${2#*:}" >"$work/forward" 2>&1 &
  forward=$!
  for _ in $(seq 100); do grep -q Forwarding "$work/forward" && break; sleep 0.1; done
  export BROKKR_URL=$scheme://127.0.0.1:$1
}

connect() {
  forwarded "$1" brokkr-broker:3000
  BROKKR_PAK=$("$kubectl" -n "$ns" get secret brokkr-broker-admin -o jsonpath='{.data.pak}' | base64 -d)
  export BROKKR_PAK
}

# An authority, a certificate of the broker and one of the agent, as Secrets.
certificates() {
  local d=$work/tls
  mkdir -p "$d"
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout "$d/ca.key" -out "$d/ca.crt" 2>/dev/null
  local names=DNS:brokkr-broker,DNS:brokkr-broker-api,DNS:brokkr-broker-gateway,DNS:localhost,IP:127.0.0.1${1:+,IP:$1}
  for who in broker agent; do
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$who" -keyout "$d/$who.key" -out "$d/$who.csr" 2>/dev/null
    openssl x509 -req -in "$d/$who.csr" -CA "$d/ca.crt" -CAkey "$d/ca.key" -CAcreateserial -days 2 -extfile <(echo "subjectAltName=$names") -out "$d/$who.crt" 2>/dev/null
  done
  "$kubectl" -n "$ns" create secret generic our-tls --type=kubernetes.io/tls --from-file=tls.crt="$d/broker.crt" --from-file=tls.key="$d/broker.key" --from-file=ca.crt="$d/ca.crt" >/dev/null
  "$kubectl" -n "$ns" create secret tls our-agent --cert="$d/agent.crt" --key="$d/agent.key" >/dev/null
  export BROKKR_CA_FILE=$d/ca.crt
}

# Publishes a Deployment to all agents, and waits until its pods run.
publish() {
  mkdir -p "$work/$ns"
  cat > "$work/$ns/web.yaml" <<Y
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: $apps}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 65535, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: web
          image: registry.k8s.io/pause:3.10.1
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
Y
  cli apply -f "$work/$ns" --stack hello --label default --wait --timeout 2m >"$work/apply" 2>&1 || { cat "$work/apply" >&2; failed "publish a stack"; }
  "$kubectl" -n "$apps" rollout status deployment/web --timeout=30s >/dev/null || failed "the stack's pods"
}

fresh() { # NAME: a namespace for a variant and one for its stack, where pods have to be restricted
  local name
  ns=brokkr-test-$1 apps=brokkr-test-$1-apps
  [ "$1" != namespaced ] || apps=$ns # its agent has but one
  for name in $(printf '%s\n' "$ns" "$apps" | sort -u); do
    namespaces+=("$name")
    "$kubectl" delete namespace "$name" --ignore-not-found >/dev/null
    "$kubectl" create namespace "$name" >/dev/null
    "$kubectl" label namespace "$name" pod-security.kubernetes.io/enforce=restricted >/dev/null
  done
  at=()
}

variant() {
  local name=$1 broker agent from=charts/ plain=()
  scheme=http
  fresh "$name"
  local persistence=$persistence
  if [ "$persistence" = false ] && [ -n "${VOLUME:-}" ] && [ "$name" = all-in-one ]; then volume "$ns"; persistence=true; fi
  broker=(--set "global.image.tag=$tag" --set postgresql.enabled=true --set "postgresql.persistence.enabled=$persistence" --set postgresql.persistence.keepOnUninstall=false)
  agent=(--set "image.tag=$tag" --set broker.url=http://brokkr-broker:3000)
  case $name in
  all-in-one) ;;
  microservices) broker+=(--set microservices.enabled=true --set redis.enabled=true --set gateway.replicas=2) ;;
  namespaced) agent+=(--set rbac.scope=namespace) ;;
  tls)
    certificates
    broker+=(--set global.tls.existingSecret=our-tls --set global.tls.clientCA.existingSecret=our-tls --set microservices.enabled=true --set redis.enabled=true)
    agent=(--set "image.tag=$tag" --set broker.url=https://brokkr-broker:3000 --set broker.caSecret=our-tls --set broker.clientCertSecret=our-agent)
    scheme=https
    ;;
  external-postgres)
    "$kubectl" -n "$ns" create secret generic mine --from-literal=password=a1b2c3d4 --from-literal=url='postgres://brokkr:a1b2c3d4@pg-postgresql:5432/brokkr?sslmode=disable' >/dev/null
    "$helm" install pg charts/brokkr-broker/charts/postgresql -n "$ns" --set global.database.existingSecret=mine \
      --set persistence.enabled=false --set global.networkPolicy.enabled=false --wait --timeout "${TIMEOUT:-3m}" >/dev/null
    broker=(--set "global.image.tag=$tag" --set global.database.existingSecret=mine)
    ;;
  oci)
    if [ -n "${PUBLISH:-}" ]; then
      deploy/publish.sh "$registry" "$tag" >"$work/publish" 2>&1 || { tail -5 "$work/publish" >&2; failed "publish images and charts"; }
      broker+=(--set "global.image.registry=$registry") agent+=(--set "image.registry=$registry")
    else
      charts/package.sh "${tag#v}" "$work/charts" "oci://$registry/charts" >/dev/null 2>&1
    fi
    from=oci://$registry/charts/ plain=(--plain-http --version "${tag#v}")
    ;;
  upgrade)
    from_revision=${FROM:-$(git describe --tags --abbrev=0 HEAD^)}
    mkdir -p "$work/former"
    git archive "$from_revision" charts | tar -x -C "$work/former"
    from=$work/former/charts/
    ;;
  *) echo "no variant $name" >&2; exit 2 ;;
  esac
  echo "== $name"
  local begin=$SECONDS
  "$helm" install brokkr-broker "${from}brokkr-broker" ${plain[@]+"${plain[@]}"} -n "$ns" "${broker[@]}" --wait --timeout "${TIMEOUT:-5m}" >/dev/null || failed "install the broker"
  "$helm" install brokkr-agent "${from}brokkr-agent" ${plain[@]+"${plain[@]}"} -n "$ns" "${agent[@]}" --wait --timeout "${TIMEOUT:-3m}" >/dev/null || failed "install the agent"
  connect 13000
  publish
  local took=$((SECONDS - begin))
  echo "   healthy ${took} s after helm install"
  [ "$took" -lt "$limit" ] || failed "it took more than $limit s"
  if [ "$name" = upgrade ]; then tested former; else tested; fi # former charts may have no tests
  if [ "$name" = all-in-one ] && [ "$persistence" = true ]; then
    "$kubectl" -n "$ns" delete pod brokkr-broker-postgresql-0 --wait >/dev/null
    "$kubectl" -n "$ns" rollout status statefulset/brokkr-broker-postgresql --timeout=2m >/dev/null || failed "the database is back on its volume"
    for _ in $(seq 60); do "$brokkr" status hello >"$work/kept" 2>&1 && break; sleep 1; done
    grep -q hello "$work/kept" || { cat "$work/kept" >&2; failed "what was stored before the database's pod went"; }
    echo "   the database's pod is another one, on the same volume"
  fi
  [ "$name" != all-in-one ] || shaken
  if [ "$name" = upgrade ]; then # to the charts of this checkout; the rollback goes back to the former ones
    from=charts/
    echo "   upgrading from the charts of $from_revision"
  fi
  local before; before=$(secrets)
  "$helm" upgrade brokkr-broker "${from}brokkr-broker" ${plain[@]+"${plain[@]}"} -n "$ns" --reset-then-reuse-values --set global.config.log.level=debug --wait --timeout "${TIMEOUT:-5m}" >/dev/null || failed "upgrade"
  [ "$before" = "$(secrets)" ] || failed "the upgrade changed secrets"
  "$helm" rollback brokkr-broker 1 -n "$ns" --wait --timeout "${TIMEOUT:-5m}" >/dev/null || failed "rollback"
  [ "$before" = "$(secrets)" ] || failed "the rollback changed secrets"
  connect 13001
  "$brokkr" wait hello --for=healthy --timeout 2m >"$work/wait" 2>&1 || { cat "$work/wait" >&2; failed "healthy after upgrade and rollback"; }
  "$helm" upgrade brokkr-agent "${from}brokkr-agent" ${plain[@]+"${plain[@]}"} -n "$ns" "${agent[@]}" --set log.level=debug --wait --timeout "${TIMEOUT:-3m}" >/dev/null || failed "upgrade of the agent"
  "$brokkr" wait hello --for=healthy --timeout 2m >"$work/wait" 2>&1 || { cat "$work/wait" >&2; failed "healthy with the upgraded agent"; }
  "$helm" rollback brokkr-agent 1 -n "$ns" --wait --timeout "${TIMEOUT:-3m}" >/dev/null || failed "rollback of the agent"
  "$brokkr" wait hello --for=healthy --timeout 2m >"$work/wait" 2>&1 || { cat "$work/wait" >&2; failed "healthy with the agent rolled back"; }
  if [ "$name" = upgrade ]; then tested former; else tested; fi
  echo "   broker and agent upgraded and rolled back, secrets kept, still healthy"
  if [ "$name" = upgrade ]; then
    "$helm" upgrade brokkr-broker charts/brokkr-broker -n "$ns" --reset-then-reuse-values --wait --timeout "${TIMEOUT:-5m}" >/dev/null || failed "upgrade again"
    "$helm" upgrade brokkr-agent charts/brokkr-agent -n "$ns" "${agent[@]}" --wait --timeout "${TIMEOUT:-3m}" >/dev/null || failed "upgrade of the agent"
    connect 13002
    "$brokkr" wait hello --for=healthy --timeout 2m >"$work/wait" 2>&1 || { cat "$work/wait" >&2; failed "healthy with the new agent"; }
    tested
    echo "   broker and agent upgraded again, the agent keeps its key, still healthy"
  fi
  "$brokkr" delete stack hello --wait --yes >"$work/delete" 2>&1 || { cat "$work/delete" >&2; failed "delete the stack"; }
  "$helm" uninstall brokkr-agent -n "$ns" --wait >/dev/null
  "$helm" uninstall brokkr-broker -n "$ns" --wait >/dev/null
  if [ "$name" = external-postgres ]; then # the keys of data that stays have to stay
    "$kubectl" -n "$ns" get secret brokkr-broker-keys >/dev/null || failed "the keys of the external database are gone"
    "$kubectl" -n "$ns" delete secret brokkr-broker-keys brokkr-broker-admin mine >/dev/null
    "$helm" uninstall pg -n "$ns" --wait >/dev/null
  fi
  [ "$name" != tls ] || "$kubectl" -n "$ns" delete secret our-tls our-agent >/dev/null
  until_gone || failed "left over: $(remains | paste -sd' ' -)"
  echo "   uninstalled, nothing left"
}

# Pods that go, and a broker that is away while somebody deletes what a stack has made: the agent needs no broker to put it back.
shaken() {
  "$kubectl" -n "$ns" delete pod -l app.kubernetes.io/part-of=brokkr --field-selector=status.phase=Running --wait=false >/dev/null
  "$kubectl" -n "$apps" delete deployment web --wait=false >/dev/null
  "$kubectl" -n "$ns" rollout status deployment/brokkr-broker deployment/brokkr-agent --timeout=2m >/dev/null || failed "pods are made anew"
  returned "after all pods went"
  "$kubectl" -n "$ns" scale deployment/brokkr-broker --replicas=0 >/dev/null
  "$kubectl" -n "$ns" wait pod -l app.kubernetes.io/component=broker --for=delete --timeout=2m >/dev/null || failed "the broker goes"
  "$kubectl" -n "$apps" delete deployment web >/dev/null
  returned "while the broker is away"
  "$kubectl" -n "$ns" scale deployment/brokkr-broker --replicas=1 >/dev/null
  "$kubectl" -n "$ns" rollout status deployment/brokkr-broker --timeout=2m >/dev/null || failed "the broker is back"
  connect 13003
  "$brokkr" wait hello --for=healthy --timeout 2m >"$work/wait" 2>&1 || { cat "$work/wait" >&2; failed "healthy after the broker was away"; }
  echo "   all pods went, and the broker was away: what was deleted by hand came back"
}

returned() {
  for _ in $(seq 120); do "$kubectl" -n "$apps" rollout status deployment/web --timeout=30s >/dev/null 2>&1 && return; sleep 1; done
  failed "the stack's Deployment is back $1"
}

gone() { # RELEASE... are uninstalled, and so is what was made for them
  local release
  cli delete stack hello --wait --yes >"$work/delete" 2>&1 || { cat "$work/delete" >&2; failed "delete the stack"; }
  for release in "$@"; do "$helm" uninstall "$release" -n "$ns" --wait >/dev/null; done
  "$kubectl" -n "$ns" delete secret mine mine-database mine-redis our-tls our-agent --ignore-not-found >/dev/null
  until_gone || failed "left over: $(remains | paste -sd' ' -)"
  echo "   uninstalled, nothing left"
}

keys() { # of a broker that is given them: into pak, hash, key
  [ -x "$server" ] || CGO_ENABLED=0 go build -o "$server" ./cmd/brokkr-broker
  key=$("$server" generate-key)
  read -r _ pak _ hash <<<"$("$server" generate-pak | paste -sd ' ' -)"
  export BROKKR_PAK=$pak
}

token() { cli join-token create live --uses 1 --label default -o json | sed -n 's/.*"token": "\(.*\)".*/\1/p'; }

# api, gateway and scheduler as releases of their own, on Secrets of yours.
apart() {
  echo "== apart"
  local begin=$SECONDS part key pak hash ours
  scheme=http
  fresh apart
  keys
  "$kubectl" -n "$ns" create secret generic mine-database --from-literal=password=a1b2c3d4 --from-literal=url='postgres://brokkr:a1b2c3d4@pg-postgresql:5432/brokkr?sslmode=disable' >/dev/null
  "$kubectl" -n "$ns" create secret generic mine-redis --from-literal=password=e5f6a7b8 --from-literal=url='redis://:e5f6a7b8@signals-redis:6379/0' >/dev/null
  "$kubectl" -n "$ns" create secret generic mine --from-literal=secrets-keys="$key" --from-literal=pak-hash="$hash" >/dev/null
  "$helm" install pg charts/brokkr-broker/charts/postgresql -n "$ns" --set global.database.existingSecret=mine-database --set persistence.enabled=false \
    --set global.networkPolicy.enabled=false >/dev/null # whose rules are for services of the same release
  "$helm" install signals charts/brokkr-broker/charts/redis -n "$ns" --set global.redis.existingSecret=mine-redis --set global.networkPolicy.enabled=false >/dev/null
  ours=(--set "global.image.tag=$tag" --set global.fullnameOverride=brokkr --set global.database.existingSecret=mine-database --set global.redis.existingSecret=mine-redis
    --set global.keys.existingSecret=mine --set global.admin.existingSecret=mine)
  for part in api gateway scheduler; do
    "$helm" install "$part" "charts/brokkr-broker/charts/$part" -n "$ns" "${ours[@]}" --wait --timeout "${TIMEOUT:-5m}" >/dev/null || failed "install the $part"
  done
  forwarded 13004 brokkr-gateway:8080
  "$helm" install brokkr-agent charts/brokkr-agent -n "$ns" --set "image.tag=$tag" --set broker.url=http://brokkr-gateway:8080 --set "join.token=$(token)" \
    --wait --timeout "${TIMEOUT:-3m}" >/dev/null || failed "install the agent"
  publish
  echo "   healthy $((SECONDS - begin)) s after the first helm install"
  for part in api gateway scheduler; do
    "$helm" upgrade "$part" "charts/brokkr-broker/charts/$part" -n "$ns" "${ours[@]}" --set global.config.log.level=debug --wait --timeout "${TIMEOUT:-5m}" >/dev/null || failed "upgrade the $part"
  done
  forwarded 13005 brokkr-gateway:8080
  cli wait hello --for=healthy --timeout 2m >"$work/wait" 2>&1 || { cat "$work/wait" >&2; failed "healthy after the upgrades"; }
  echo "   each upgraded, still healthy"
  gone brokkr-agent scheduler gateway api signals pg
}

# A broker that is no pod, with TLS, as one that serves many clusters: agents come from the cluster to it, with certificates.
external() {
  echo "== external-broker"
  local begin=$SECONDS key pak hash url
  : "${BROKER_HOST:?an address of this machine that pods reach}"
  scheme=https url=https://$BROKER_HOST:13443
  fresh external-broker
  keys
  certificates "$BROKER_HOST"
  at=("${within[@]}")
  "${within[@]}" sh -c 'echo $$ >"$0"; exec "$@"' "$work/outside" env BROKKR__SECRETS__KEYS="$key" BROKKR__BROKER__PAK_HASH="$hash" \
    BROKKR__BROKER__TLS_CERT="$work/tls/broker.crt" BROKKR__BROKER__TLS_KEY="$work/tls/broker.key" BROKKR__BROKER__TLS_CLIENT_CA="$work/tls/ca.crt" \
    "$server" serve --addr "$BROKER_HOST:13443" --state-dir "$work/state" >"$work/broker.log" 2>&1 &
  outside=$!
  export BROKKR_URL=$url
  for _ in $(seq 120); do cli get agents >"$work/asked" 2>&1 && break; sleep 0.5; done
  cli get agents >"$work/asked" 2>&1 || { tail -5 "$work/broker.log" "$work/asked" >&2; failed "start a broker outside of the cluster"; }
  "$helm" install brokkr-agent charts/brokkr-agent -n "$ns" --set "image.tag=$tag" --set "broker.url=$url" --set broker.caSecret=our-tls \
    --set broker.clientCertSecret=our-agent --set "join.token=$(token)" --wait --timeout "${TIMEOUT:-3m}" >/dev/null || { tail -5 "$work/broker.log" >&2; failed "install the agent"; }
  publish
  echo "   healthy $((SECONDS - begin)) s after the broker's start"
  "$helm" test brokkr-agent -n "$ns" --timeout 2m >"$work/test" 2>&1 || { cat "$work/test" >&2; failed "helm test brokkr-agent"; }
  gone brokkr-agent
  "${within[@]}" kill "$(cat "$work/outside")"
  wait "$outside" || { tail -5 "$work/broker.log" >&2; failed "the broker ends well"; }
  outside=
}

# The page as it is printed, by somebody who has helm and kubectl on his path.
quickstart() {
  echo "== quickstart"
  local begin=$SECONDS
  mkdir -p "$work/bin" "$work/checkout"
  ln -sf "$helm" "$work/bin/helm"
  ln -sf "$(command -v "$kubectl")" "$work/bin/kubectl"
  ln -sf "$(readlink -f "$brokkr")" "$work/bin/brokkr"
  ln -s "$PWD"/* "$work/checkout/"
  rm -f "$work/checkout/bin"
  ns=$("$kubectl" config view --minify -o jsonpath='{.contexts[0].context.namespace}')
  ns=${ns:-default}
  { echo 'set -euxo pipefail'
    echo "trap 'kill \$(jobs -p) 2>/dev/null || true' EXIT"
    awk '/^```bash$/ { inside = 1; next } /^```$/ { inside = 0 } inside' docs/quickstart.md
  } >"$work/quickstart"
  # Where a broker is reached a moment after port-forward was begun, a person would type slower.
  sed -i.bak -e 's/^kubectl port-forward .*&$/& sleep 3/' -e "s#^go build .*#export PATH=$work/bin:\$PATH#" "$work/quickstart"
  local volumes_off=
  if [ "$persistence" = false ]; then # as the page says
    sed -i.bak -e 's/postgresql.enabled=true/& --set postgresql.persistence.enabled=false/' "$work/quickstart"
    volumes_off=" (without a volume)"
  fi
  # nor has a person what the variants before have set
  (cd "$work/checkout" && env -u BROKKR_URL -u BROKKR_PAK -u BROKKR_CA_FILE PATH="$work/bin:$PATH" bash "$work/quickstart") >"$work/quickstart.log" 2>&1 || { tail -40 "$work/quickstart.log" >&2; failed "the quick start"; }
  echo "   done in $((SECONDS - begin)) s$volumes_off"
}

[ $# -gt 0 ] || set -- all-in-one microservices apart external-postgres namespaced tls
for name in "$@"; do
  case $name in
  quickstart | apart) "$name" ;;
  external-broker) external ;;
  *) variant "$name" ;;
  esac
done
echo "all well: $*"
