import { writeFileSync } from 'node:fs';
import { formatReference } from '../src/config/reference.ts';

writeFileSync('docs/config.md', formatReference());
