#!/usr/bin/env bash
# Asks for one view by reflection alone, without generated code: reflection_call.sh ADDRESS USCC [BUF]
set -euo pipefail
address=${1:-127.0.0.1:50051} uscc=${2:-91310115MA0TERT167} buf=${3:-buf}
exec "$buf" curl --protocol grpc --http2-prior-knowledge \
  --data "{\"query\": {\"uscc\": \"$uscc\", \"purpose\": \"PURPOSE_PRE_LOAN\"}}" \
  "http://$address/xinyidai.gateway.v1.CreditService/GetCreditView"
