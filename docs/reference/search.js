// Finds names as they are typed; arrows and Enter choose one, `/` begins. Also opens the contents where there is room for them.
const field = document.getElementById('search'), list = document.getElementById('found');
let chosen = -1;

function rank(name, words) {
  const low = name.toLowerCase();
  if (!words.every(w => low.includes(w))) return -1;
  return low == words[0] ? 0 : low.replace(/^mgx?_/, '').startsWith(words[0].replace(/^mgx?_/, '')) ? 1 : 2;
}

function choose(n) {
  const rows = [...list.children];
  rows.forEach((row, i) => row.setAttribute('aria-selected', i == n));
  chosen = n;
  if (rows[n]) rows[n].scrollIntoView({block: 'nearest'});
}

function find() {
  const words = field.value.toLowerCase().split(/\s+/).filter(w => w);
  const hits = !words.length ? [] : names.map(n => [rank(n[0], words), n]).filter(h => h[0] >= 0)
    .sort((a, b) => a[0] - b[0] || a[1][0].length - b[1][0].length).slice(0, 30);
  list.replaceChildren(...hits.map(([, [name, kind, to, text]]) => {
    const row = document.createElement('li'), link = document.createElement('a'), about = document.createElement('small');
    row.setAttribute('role', 'option');
    link.href = to;
    about.textContent = ' ' + kind + (text ? ': ' + text : '');
    link.append(name, about);
    row.append(link);
    return row;
  }));
  list.hidden = !hits.length;
  field.setAttribute('aria-expanded', !list.hidden);
  choose(hits.length ? 0 : -1);
}

field.addEventListener('input', find);
field.addEventListener('keydown', e => {
  const rows = list.children.length;
  if (e.key == 'ArrowDown' && rows) { choose((chosen + 1) % rows); e.preventDefault(); }
  if (e.key == 'ArrowUp' && rows) { choose((chosen + rows - 1) % rows); e.preventDefault(); }
  if (e.key == 'Enter' && list.children[chosen]) location.href = list.children[chosen].firstChild.href;
  if (e.key == 'Escape') { field.value = ''; find(); }
});
document.addEventListener('keydown', e => {
  if (e.key == '/' && !/INPUT|TEXTAREA/.test(document.activeElement.tagName)) { field.focus(); e.preventDefault(); }
});
const wide = matchMedia('(min-width: 56.01rem)'), open = () => { document.querySelector('.nav').open = wide.matches; };
wide.addEventListener('change', open);
open();
