/** Scalar's API reference of the server's own OpenAPI document. What of Scalar calls or offers its own services is turned off. */

const answer = await fetch("../openapi.json");
const openapi = await answer.json();
const root = new URL("..", location.href).href.replace(/\/$/, "");

const content = {
  ...openapi,
  // With these named, Scalar does not offer to generate a client on its own site.
  info: {
    ...openapi.info,
    "x-scalar-sdk-installation": [
      { lang: "Python", source: "pip install openai" },
      { lang: "Node", source: "npm install openai" },
    ],
  },
  servers: [{ url: root }],
  // The document names no key, because a server may have none; the reference needs this to show a field for it.
  components: { ...openapi.components, securitySchemes: { key: { type: "http", scheme: "bearer" } } },
  security: [{ key: [] }, {}],
};

globalThis.Scalar.createApiReference("#reference", {
  content,
  agent: { disabled: true },
  authentication: { preferredSecurityScheme: "key" },
  hideClientButton: true,
  mcp: { disabled: true },
  persistAuth: false,
  showDeveloperTools: "never",
  telemetry: false,
  withDefaultFonts: false,
});
