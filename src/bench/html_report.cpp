#include "src/bench/html_report.hpp"

namespace firnlog::bench {
namespace {

// Json writes '<' as an escape: nothing in it can end the script.
constexpr std::string_view kBegin = R"html(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>firnlog bench</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { --ink: #1c2733; --soft: #5c6b7a; --line: #d9e0e7; --paper: #fff; --shade: #f4f7fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4eaf0; --soft: #93a3b3; --line: #33404d; --paper: #141a20; --shade: #1c242c; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px; max-width: 1120px; color: var(--ink);
       background: var(--paper); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 4px; }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { margin: 4px 0 10px; color: var(--soft); max-width: 80ch; }
table { border-collapse: collapse; width: 100%; font-size: 14px;
        font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid var(--line);
         white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } th:first-child, td:first-child { text-align: left; }
td.off { color: var(--soft); font-style: italic; }
.scroll { overflow-x: auto; } .key { display: inline-block; width: 12px; height: 12px;
  border-radius: 2px; margin: 0 6px 0 14px; vertical-align: -1px; }
svg, canvas { display: block; width: 100%; background: var(--shade); border-radius: 4px; }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }
code { font-size: 13px; }
</style></head><body>
<h1>firnlog bench</h1><div id="all"></div>
<script type="application/json" id="measured">)html";

constexpr std::string_view kEnd = R"html(</script>
<script>
'use strict';
const measured = JSON.parse(document.getElementById('measured').textContent);
const all = document.getElementById('all');
const colours = ['#2f6fdb', '#e0702c', '#2a9d6e', '#a14fc2', '#c0392b', '#7f8c8d'];
const names = ['p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max', 'mean'];
const dark = matchMedia('(prefers-color-scheme: dark)').matches;

function make(parent, tag, text, more) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  Object.assign(element, more || {});
  parent.appendChild(element);
  return element;
}
function draw(parent, tag, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const name in attributes) element.setAttribute(name, attributes[name]);
  if (text !== undefined) element.textContent = text;
  parent.appendChild(element);
  return element;
}
const whole = number => Math.round(number).toLocaleString('en-US');
function ms(ns) {
  const value = ns / 1e6;
  return value < 10 ? value.toFixed(3) : value < 100 ? value.toFixed(2) : value.toFixed(1);
}
function axis(ns) {
  return ns < 1e6 ? ns / 1e3 + ' µs' : ns < 1e9 ? ns / 1e6 + ' ms' : ns / 1e9 + ' s';
}
function table(head, rows) {
  const element = make(make(all, 'div', undefined, {className: 'scroll'}), 'table');
  const top = make(element, 'tr');
  for (const text of head) make(top, 'th', text);
  for (const row of rows) {
    const line = make(element, 'tr');
    for (const cell of row) {
      const off = typeof cell === 'object';
      make(line, 'td', off ? cell.off : cell, off ? {className: 'off'} : {});
    }
  }
}
function figures(latency) {
  const off = latency.not_measured || [];
  return names.map(name => {
    const text = ms(latency[name + '_ns']);
    return off.includes(name) ? {off: '(' + text + ')'} : text;
  });
}
function decades(low, high) {
  const marks = [];
  for (let at = Math.pow(10, Math.floor(Math.log10(low))); at <= high; at *= 10)
    if (at >= low) marks.push(at);
  return marks;
}

// The percentile curve: to the right one step for each nine, upwards the logarithm of the time.
function curves(runs) {
  const width = 1070, height = 330, left = 64, right = 12, top = 14, bottom = 34;
  const points = runs.flatMap(run => run.curve).filter(point => point[1] > 0);
  if (!points.length) return;
  const low = Math.min(...points.map(point => point[1])) * 0.8;
  const high = Math.max(...points.map(point => point[1])) * 1.25;
  const most = Math.max(...runs.map(run => Math.log10(Math.max(run.answered, 10))));
  const nines = percent => percent >= 100 ? most : Math.min(most, -Math.log10(1 - percent / 100));
  const x = percent => left + nines(percent) / most * (width - left - right);
  const y = ns => top + (Math.log(high) - Math.log(Math.max(ns, low))) /
      (Math.log(high) - Math.log(low)) * (height - top - bottom);
  const picture = draw(all, 'svg', {viewBox: `0 0 ${width} ${height}`});
  for (const mark of decades(low, high)) {
    draw(picture, 'line', {x1: left, x2: width - right, y1: y(mark), y2: y(mark),
                           stroke: 'var(--line)'});
    draw(picture, 'text', {x: left - 8, y: y(mark) + 4, 'text-anchor': 'end'}, axis(mark));
  }
  for (let nine = 0; nine <= most; ++nine) {
    const percent = 100 - 100 * Math.pow(10, -nine);
    draw(picture, 'line', {x1: x(percent), x2: x(percent), y1: top, y2: height - bottom,
                           stroke: 'var(--line)'});
    const anchor = x(percent) > width - 40 ? 'end' : 'middle';
    draw(picture, 'text', {x: x(percent), y: height - 12, 'text-anchor': anchor},
         nine === 0 ? '0' : 'p' + (nine < 3 ? percent.toFixed(0) : percent.toFixed(nine - 2)));
  }
  runs.forEach((run, at) => {
    // A stretch that is not measured is dotted.
    for (let from = 0; from + 1 < run.curve.length; ++from) {
      const [one, two] = [run.curve[from], run.curve[from + 1]];
      draw(picture, 'line', {x1: x(one[0]), y1: y(one[1]), x2: x(two[0]), y2: y(two[1]),
        stroke: colours[at % colours.length], 'stroke-width': 2, 'stroke-linecap': 'round',
        'stroke-dasharray': one[2] && two[2] ? 'none' : '1 5'});
    }
  });
}

// The time-line: a column each slot of time, a row each eighth of a decade, the darker the more.
function heat(run) {
  const slots = run.heat.slots;
  if (!slots.length) return;
  const scale = 2, width = 1070, height = 300, left = 64, right = 12, top = 8, bottom = 26;
  const canvas = make(all, 'canvas', undefined, {width: width * scale, height: height * scale});
  const pen = canvas.getContext('2d');
  pen.scale(scale, scale);
  pen.font = '12px system-ui, sans-serif';
  const ink = getComputedStyle(document.body).getPropertyValue('--soft');
  const line = getComputedStyle(document.body).getPropertyValue('--line');
  const last = Math.max(...slots.map(slot => slot.slot)) + 1;
  const used = slots.flatMap(slot => slot.rows.flatMap((count, row) => count ? [row] : []));
  const first_row = Math.max(0, Math.min(...used) - 1), last_row = Math.max(...used) + 2;
  const most = Math.max(...slots.flatMap(slot => slot.rows));
  const row_of = ns =>
      run.heat.rows_a_decade * Math.log10(Math.max(ns, 1) / run.heat.first_row_ns);
  const x = slot => left + slot / last * (width - left - right);
  const y = row => top + (last_row - row) / (last_row - first_row) * (height - top - bottom);
  const per_slot = run.heat.slot_ns;
  for (const event of run.events) {
    if (!event.fired) continue;
    const from = x(Math.max(0, event.begin_ns / per_slot));
    const to = x(event.over ? Math.min(last, event.end_ns / per_slot) : last);
    pen.fillStyle = dark ? 'rgba(255, 190, 60, 0.20)' : 'rgba(255, 170, 0, 0.20)';
    pen.fillRect(from, top, Math.max(to - from, 2), height - top - bottom);
  }
  for (let row = Math.ceil(first_row / run.heat.rows_a_decade) * run.heat.rows_a_decade;
       row <= last_row; row += run.heat.rows_a_decade) {
    pen.fillStyle = line;
    pen.fillRect(left, y(row), width - left - right, 1);
    pen.fillStyle = ink;
    pen.textAlign = 'right';
    pen.fillText(axis(run.heat.first_row_ns * Math.pow(10, row / run.heat.rows_a_decade)),
                 left - 8, y(row) + 4);
  }
  const wide = Math.max((width - left - right) / last, 1) + 0.4;
  const tall = (height - top - bottom) / (last_row - first_row) + 0.4;
  for (const slot of slots) {
    slot.rows.forEach((count, row) => {
      if (!count) return;
      const share = Math.log(1 + count) / Math.log(1 + most);
      pen.fillStyle = dark ? `hsla(210, 85%, ${25 + 50 * share}%, ${0.3 + 0.7 * share})`
                           : `hsla(214, 80%, ${82 - 52 * share}%, ${0.35 + 0.65 * share})`;
      pen.fillRect(x(slot.slot), y(row + 1), wide, tall);
    });
  }
  const lines = [['p50_ns', '#f2f4f7'], ['p99_ns', '#e0702c'], ['max_ns', '#c0392b']];
  for (const [name, colour] of lines) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.beginPath();
    let before = -2;
    for (const slot of slots) {
      const at = [x(slot.slot + 0.5), y(row_of(slot[name]))];
      slot.slot === before + 1 ? pen.lineTo(...at) : pen.moveTo(...at);
      before = slot.slot;
    }
    pen.stroke();
  }
  pen.fillStyle = ink;
  pen.textAlign = 'center';
  const seconds = last * per_slot / 1e9;
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 3600, 7200, 86400]
      .find(one => seconds / one <= 14) || seconds;
  for (let at = 0; at <= seconds + 1e-9; at += step)
    pen.fillText(Number(at.toFixed(1)) + ' s', x(at * 1e9 / per_slot), height - 8);
  pen.fillStyle = dark ? '#ffcf70' : '#8a5a00';
  pen.textAlign = 'left';
  run.events.forEach((event, at) => {
    if (event.fired)
      pen.fillText(event.event, x(event.begin_ns / per_slot) + 4, top + 14 + 14 * (at % 3));
  });
}

function describe(run) {
  const value = run.value_bytes_min === run.value_bytes_max
      ? run.value_bytes_min : run.value_bytes_min + ' to ' + run.value_bytes_max;
  const loop = run.loop === 'open'
      ? `Open loop, ${whole(run.rate_asked)} requests a second; latencies count from when a `
          + 'request should have left.'
      : 'Closed loop: a stall hides the requests that it keeps from being sent.';
  return loop + ` ${run.clients} connections, pipeline ${run.pipeline}, ${whole(run.keys)} keys, `
      + `${value} bytes a value; ${run.measured_s.toFixed(1)} s; seed ${run.seed}.`;
}

function legend(runs) {
  const line = make(all, 'p');
  runs.forEach((run, at) => {
    const key = make(line, 'span', undefined, {className: 'key'});
    key.style.background = colours[at % colours.length];
    make(line, 'code', run.server);
  });
}

const workloads = [...new Set(measured.runs.map(run => run.workload))];
for (const workload of workloads) {
  const runs = measured.runs.filter(run => run.workload === workload);
  make(all, 'h2', workload);
  make(all, 'p', describe(runs[0]));
  make(all, 'h3', 'Latency by percentile');
  legend(runs);
  curves(runs);
  for (const run of runs) {
    make(all, 'h3', run.server);
    heat(run);
    make(all, 'p', 'Each column is ' + run.heat.slot_ns / 1e9 + ' s; '
        + (dark ? 'brighter' : 'darker') + ': more replies. '
        + 'Lines: p50 (white), p99 (orange), max (red)'
        + (run.events.length ? '; bands: events.' : '.'));
    const rows = run.commands.map(one => [one.command, whole(one.requests),
        whole(one.requests / run.measured_s), ...figures(one.latency), whole(one.errors)]);
    if (run.commands.length > 1)
      rows.push(['all', whole(run.requests), whole(run.rate), ...figures(run.latency),
                 whole(run.errors)]);
    for (const event of run.events)
      rows.push(['in ' + event.event, whole(event.requests), '', ...figures(event.latency), '']);
    if (run.outside_events)
      rows.push(['outside events', whole(run.outside_events.requests), '',
                 ...figures(run.outside_events.latency), '']);
    if (run.lateness) rows.push(['own lateness', '', '', ...figures(run.lateness), '']);
    table(['ms', 'requests', 'a second', ...names, 'errors'], rows);
    const notes = [];
    if (run.loop === 'open')
      notes.push('A figure in brackets is not measured: the generator’s own lateness at that '
          + 'percentile is more than half of it.');
    if (run.unanswered)
      notes.push(whole(run.unanswered) + ' requests were never answered; they count with the age '
          + 'they had.');
    for (const event of run.events) {
      if (!event.fired) notes.push(event.event + ' was not fired: the load ended before.');
      if (event.error) notes.push(event.event + ': ' + event.error);
    }
    const used = run.server_process;
    if (used) notes.push(`The server used ${used.cpu_cores.toFixed(2)} cores, `
        + `${used.cpu_us_a_request.toFixed(2)} µs of CPU a request; at most `
        + `${whole(used.rss_bytes_max / 1048576)} MiB resident; wrote `
        + `${(used.written_bytes_a_second / 1048576).toFixed(1)} MiB a second; `
        + `${whole(used.minor_faults)} minor and ${whole(used.major_faults)} major page faults.`);
    for (const note of notes) make(all, 'p', note);
  }
}
if (measured.comparisons.length) make(all, 'h2', 'Compared, slice by slice');
for (const one of measured.comparisons) {
  make(all, 'p', `${one.workload}: ${one.server} against ${one.other}`);
  table(['figure', 'median ratio', 'smallest', 'largest', 'verdict'], one.ratios.map(ratio =>
    [ratio.figure, ratio.median.toFixed(3), ratio.min.toFixed(3), ratio.max.toFixed(3),
     ratio.verdict === 'none' ? 'none: the slices do not allow one' : ratio.verdict]));
}
</script></body></html>
)html";

}  // namespace

std::string html_report(std::string_view json) {
    std::string page(kBegin);
    page += json;
    page += kEnd;
    return page;
}

}  // namespace firnlog::bench
