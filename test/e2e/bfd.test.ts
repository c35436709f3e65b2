import { testBfd } from './bfd-suite.ts';

testBfd('embedded');
