import { describeDemo } from './demo-suite.ts';

describeDemo('the main job on VPP', { dataplane: 'vpp', nodes: 3 });
