// Publishes a bundle with the client that openapi-typescript and openapi-fetch make of the API document.
import createClient from "openapi-fetch";
import type { paths } from "./brokkr.js";

const pak = process.env.BROKKR_PAK ?? "";
const api = createClient<paths>({
  baseUrl: `${process.env.BROKKR_URL}/api/v1`,
  headers: { Authorization: `Bearer ${pak}` },
});

function must<T>(act: string, answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) {
    throw new Error(`${act}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
  }
  return answer.data;
}

const manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: from-typescript\n";
const who = must("verify", await api.POST("/auth/pak"));
if (!who.generator) {
  throw new Error("the key is no generator's");
}
const stack = must("create stack", await api.POST("/stacks", { body: { name: "from-typescript", generator_id: who.generator } }));
must("label", await api.POST("/stacks/{id}/labels", { params: { path: { id: stack.id } }, body: "env:test" }));
const made = must("publish", await api.POST("/stacks/{id}/deployment-objects", {
  params: { path: { id: stack.id } },
  body: { yaml_content: manifest, is_deletion_marker: false },
}));
if (!("id" in made)) {
  throw new Error("publishing was answered like a dry run");
}
const objects = must("list", await api.GET("/stacks/{id}/deployment-objects", { params: { path: { id: stack.id } } }));
if (objects.length !== 1 || objects[0].id !== made.id || objects[0].yaml_content !== manifest) {
  throw new Error(`listed ${JSON.stringify(objects)}, want what was published`);
}
console.log(`published ${made.id} with sequence ${made.sequence_id}`);
