import { describeDemo } from './demo-suite.ts';

describeDemo('the main job on the embedded data plane', { dataplane: 'embedded', nodes: 3 });
