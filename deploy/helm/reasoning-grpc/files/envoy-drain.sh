# Drains Envoy before it is stopped: bash drain.sh SECONDS [PORT of its admin page]
#
# Envoy then is not ready, so no new client comes, and it sends its clients away with GOAWAY when they call. This ends
# when no call is in progress, after SECONDS at the latest, and never within the five seconds in which nodes notice.
seconds=$1
port=${2:-9901}

ask() {
  exec 3<> "/dev/tcp/127.0.0.1/$port" || return 1
  printf '%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1" "$2" >&3
  while IFS= read -r line; do printf '%s\n' "$line"; done <&3
  exec 3>&-
}

has_calls() {
  [[ $(ask GET '/stats?filter=^http\.reasoning\.downstream_rq_active$') == *"downstream_rq_active: "[1-9]* ]]
}

ask POST /healthcheck/fail > /dev/null
sleep 5
while ((SECONDS < seconds)) && has_calls; do
  sleep 1
done
