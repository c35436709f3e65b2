import manifest from '../../package.json' with { type: 'json' };

/** The version of the whole, from package.json; bundles carry it inside. */
export const version: string = manifest.version;
