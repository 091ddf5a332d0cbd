// The API's description as a page without scripts: all routes by subject, with what they take and give.
import type { OpenApiDocument, OpenApiOperation } from './openapi.ts';

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f4f5f7;padding:.75rem;overflow:auto;border-radius:4px}
h2{margin-top:2.5rem;border-bottom:1px solid #d0d5db}h3{margin:1.5rem 0 .25rem}small{color:#59636e}
.m{display:inline-block;min-width:4rem;font-weight:700}details{margin:.25rem 0}
@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#15181c}pre{background:#20242a}h2{border-color:#3a4048}small{color:#9aa4af}}`;

export function documentPage(document: OpenApiDocument): string {
  const byTag = new Map<string, string[]>();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] ?? 'other';
      byTag.set(tag, [...(byTag.get(tag) ?? []), routeText(path, method, operation)]);
    }
  }
  const sections = [...byTag].map(([tag, routes]) => `<h2>${escape(tag)}</h2>${routes.join('')}`);
  const { title, version } = document.info;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(title)} API</title><style>${STYLE}</style></head><body><h1>${escape(title)} API ${escape(version)}</h1><p>The same as OpenAPI: <a href="openapi.json">openapi.json</a></p>${sections.join('')}</body></html>`;
}

function routeText(path: string, method: string, operation: OpenApiOperation): string {
  const { summary, parameters = [], requestBody, responses } = operation;
  const list = parameters.map(
    ({ name, in: where, description, schema }) =>
      `<li><code>${escape(name)}</code> <small>(${escape(where)})</small> ${escape(description ?? '')} <code>${escape(JSON.stringify(schema))}</code></li>`,
  );
  const bodies = Object.values(requestBody?.content ?? {}).map(({ schema }) =>
    schemaText('request', schema),
  );
  const answers = Object.entries(responses)
    .filter(([status]) => status !== 'default')
    .flatMap(([status, { content }]) =>
      Object.values(content ?? {}).map(({ schema }) => schemaText(`answer ${status}`, schema)),
    );
  return `<h3><span class="m">${escape(method.toUpperCase())}</span> <code>${escape(path)}</code></h3><p>${escape(summary)} <small>Role: ${escape(operation['x-role'])}</small></p>${list.length === 0 ? '' : `<ul>${list.join('')}</ul>`}${bodies.join('')}${answers.join('')}`;
}

function schemaText(title: string, schema: unknown): string {
  const text = escape(JSON.stringify(schema, null, 2));
  return `<details><summary>${escape(title)}</summary><pre>${text}</pre></details>`;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
