// A real provider of OpenID Connect for the tests: node idp.mjs PORT CALLBACK. Whoever comes is who they say they are.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [port, callback, folder] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);
const provider = new Provider(`http://localhost:${port}`, {
  clients: [{ client_id: "pronto", client_secret: "client-secret", redirect_uris: [callback], response_types: ["code"] }],
  pkce: { required: () => true },
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["preferred_username"], groups: ["groups"] },
  scopes: ["openid", "email", "profile", "groups"],
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      preferred_username: id,
      email: `${id}@corp.example`,
      email_verified: true,
      groups: id === "lea" ? ["leads"] : ["engineering"],
    }),
  }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
