import { z } from 'zod';
import { configSchema } from './schema.ts';

/** The part of JSON Schema that zod makes of our schema. */
interface Field {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Field[];
  readonly items?: Field;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly restart?: boolean;
  readonly examples?: readonly string[];
  readonly properties?: Readonly<Record<string, Field>>;
}

const head = `# Configuration

<!-- Generated from src/config/schema.ts by \`npm run gen\`; do not edit. -->

The daemon reads one YAML file, named by \`--config\`. In a cluster it is the ConfigMap
\`kube-vpp-router\`. An unknown key, a wrong type or a value out of bounds makes the file bad as a
whole; every wrong field is named with the reason.

The file is read again when it changes. A bad file keeps the last good configuration in force and
appears in \`kvr show errors\`. A changed field marked **restart** keeps its value until the daemon
starts again; that is said there too. All others take effect at once.

The smallest file:

\`\`\`yaml
uplink:
  interface: eth0
\`\`\`
`;

/** docs/config.md. */
export function formatReference(): string {
  const root = z.toJSONSchema(configSchema, { io: 'input' }) as Field;
  const groups = Object.entries(root.properties ?? {});
  const leaves = groups.filter(([, field]) => field.properties === undefined);
  const sections = groups.filter(([, field]) => field.properties !== undefined);
  return [
    head,
    section('Top level', leaves),
    ...sections.map(([name, field]) =>
      section(
        `\`${name}\``,
        Object.entries(field.properties ?? {}).map(([leaf, inner]) => [`${name}.${leaf}`, inner]),
      ),
    ),
  ].join('\n');
}

function section(title: string, fields: readonly (readonly [string, Field])[]): string {
  return `## ${title}\n\n${fields.map(([name, field]) => formatField(name, field)).join('\n')}\n`;
}

function formatField(name: string, field: Field): string {
  const facts = [
    typeOf(field),
    field.default === undefined ? undefined : `default \`${JSON.stringify(field.default)}\``,
    field.examples === undefined ? undefined : `for example \`${field.examples.join('`, `')}\``,
    field.restart === true ? '**restart**' : undefined,
  ].filter((fact) => fact !== undefined);
  return `- \`${name}\`: ${facts.join(', ')}.\n  ${field.description ?? ''}`;
}

function typeOf(field: Field): string {
  if (field.enum !== undefined) {
    return `one of ${field.enum.map((value) => `\`${String(value)}\``).join(', ')}`;
  }
  if (field.anyOf !== undefined) return typeOf(field.anyOf.at(-1) ?? {});
  if (field.type === 'array') {
    const { items = {} } = field;
    return items.enum === undefined ? `list of ${typeOf(items)}s` : `list, each ${typeOf(items)}`;
  }
  if (field.type === 'integer') return `whole number ${field.minimum} to ${field.maximum}`;
  return field.type ?? 'string';
}
