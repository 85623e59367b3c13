// Makes one allocation: the order on standard input, the API's URL and key in the environment.
import { readFileSync } from "node:fs";

const { VEEQO_ALLOC_URL: url, VEEQO_ALLOC_API_KEY: key } = process.env;
const { order_id, warehouse_id, line_items } = JSON.parse(readFileSync(0, "utf8"));

try {
  const response = await fetch(`${url}/orders/${order_id}/allocations`, {
    method: "POST",
    headers: { "x-api-key": key, "content-type": "application/json" },
    body: JSON.stringify({ allocation: { warehouse_id, line_items_attributes: line_items } }),
    redirect: "manual", // fetch would send the key to the other host
    signal: AbortSignal.timeout(1000),
  });
  if (response.status !== 201) throw new Error(`the allocation failed with status ${response.status}`);
  console.log(JSON.stringify(await response.json()));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
