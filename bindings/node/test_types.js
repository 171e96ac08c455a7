// Every name that index.d.ts declares is there, and the other way round.
'use strict';
const fs = require('fs');
const path = require('path');
const library = require('.');

const types = fs.readFileSync(path.join(__dirname, 'index.d.ts'), 'utf8');
const exported = [...types.matchAll(/^export (?:const|function|class) (\w+)/gm)].map((m) => m[1]);
const missing = exported.filter((name) => library[name] === undefined);
const undeclared = Object.keys(library).filter((name) => !exported.includes(name));
const events = [...types.slice(types.indexOf('EV:'), types.indexOf('number>>')).matchAll(/'(\w+)'/g)].map((m) => m[1]);
missing.push(...events.filter((name) => typeof library.EV[name] !== 'number'));

function members(kind, name) {
  const body = types.slice(types.indexOf(`export ${kind} ${name} {`)).split('\n}')[0];
  return [...body.matchAll(/^  (?:readonly )?(\w+)[(:]/gm)].map((m) => m[1]);
}
const manager = new library.Manager();
const objects = { Manager: ['class', manager], Connection: ['interface', manager.listen('tcp://127.0.0.1:0', () => {})] };
for (const [name, [kind, object]] of Object.entries(objects)) {
  const declared = members(kind, name);
  if (declared.length < 10) missing.push(`members of ${name}`);
  missing.push(...declared.filter((member) => !(member in object)).map((member) => `${name}.${member}`));
}
manager.close();
if (missing.length + undeclared.length > 0) {
  console.error('missing:', missing, 'undeclared:', undeclared);
  process.exit(1);
}
console.log(`node types: ${exported.length} exports, well`);
