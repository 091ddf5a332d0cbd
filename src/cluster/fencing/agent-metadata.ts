// What a fence agent says about itself (`action=metadata`, XML of the ClusterLabs fence agent API).
// Only names and requirements are read; the text comes from a program of the machine, is bounded, and
// is never shown as a whole.

export interface AgentParameter {
  readonly name: string;
  readonly required: boolean;
  /** A newer name has taken its place. */
  readonly deprecated: boolean;
}

export interface AgentMetadata {
  readonly description: string;
  readonly parameters: readonly AgentParameter[];
  readonly actions: readonly string[];
}

/** Undefined when `xml` is not the metadata of an agent. */
export function parseMetadata(xml: string): AgentMetadata | undefined {
  const agent = /<resource-agent\s([^>]*)>/.exec(xml);
  if (agent === null) return undefined;
  const parameters = [...xml.matchAll(/<parameter\s([^>]*)>/g)].map(([, text = '']) => ({
    name: attributeOf(text, 'name'),
    required: attributeOf(text, 'required') === '1',
    deprecated: attributeOf(text, 'deprecated') === '1',
  }));
  const actions = [...xml.matchAll(/<action\s([^>]*)>/g)].map(([, text = '']) =>
    attributeOf(text, 'name'),
  );
  return { description: attributeOf(agent[1] ?? '', 'shortdesc'), parameters, actions };
}

function attributeOf(text: string, name: string): string {
  return new RegExp(`(?:^|\\s)${name}="([^"]*)"`).exec(text)?.[1] ?? '';
}
