// A bank's client in Node, without generated code: one view, and what an error says. npm install @grpc/grpc-js @grpc/proto-loader
//
//     node docs/examples/node_client.js 91310115MA0TERT167
//
// The contract comes from gateway/_pb/xinyidai.binpb, which `make setup` writes: all of proto/ with all it imports.
const fs = require('fs');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

// enums: names instead of numbers. longs: int64 as text, since a number of JavaScript is exact up to 2^53 only. No defaults:
// a field that is absent stays absent, as completeness_bp is where nothing asked is covered.
const contract = loader.loadFileDescriptorSetFromBuffer(fs.readFileSync('gateway/_pb/xinyidai.binpb'), {
  keepCase: true, longs: String, enums: String, arrays: true, oneofs: true,
});
const { CreditService } = grpc.loadPackageDefinition(contract).xinyidai.gateway.v1;

// The certificate says which bank asks; these are those that `make run` leaves.
const [ca, key, cert] = ['ca.pem', 'demo-bank.key', 'demo-bank.pem'].map((name) => fs.readFileSync(`var/certs/${name}`));
const credit = new CreditService('localhost:50051', grpc.credentials.createSsl(ca, key, cert), {
  'grpc.max_receive_message_length': 16 * 1024 * 1024, // as the gateway's own limit; 4 MB by default
});

const query = { uscc: process.argv[2] || '91310115MA0TERT167', purpose: 'PURPOSE_PRE_LOAN' };
credit.GetCreditView({ query }, { deadline: Date.now() + 5000 }, (error, response) => {
  if (error) {
    explain(error);
  } else {
    const { view, delivery } = response;
    console.log(`answer ${delivery.answer_id}`);
    for (const { platform, outcome, reason } of view.answers) console.log(`  ${platform} ${outcome} ${reason || ''}`);
    for (const each of view.coverage.filter((c) => !c.record_count)) {
      const missing = [...each.missing, ...each.missing_years.map(({ platform, year }) => `${platform} ${year}`)];
      console.log(`  ${each.category}: ${each.is_known_empty ? 'none' : `unknown, missing ${missing.join(', ')}`}`);
    }
  }
  credit.close();
});

// The status travels in a trailer as google.rpc.Status; its details are told apart by their type.
function explain(error) {
  console.log(`${grpc.status[error.code]}: ${error.details}`);
  for (const raw of error.metadata.get('grpc-status-details-bin')) {
    for (const { type_url, value } of contract['google.rpc.Status'].deserialize(raw).details) {
      console.log(' ', JSON.stringify(contract[type_url.split('/').pop()].deserialize(value)));
    }
  }
}
