/** Namespace of the demo's application, demo/manifests/shop.yaml. */
export const shop = 'shop';

/** NodePort of its front end. */
export const frontendNodePort = 30080;
