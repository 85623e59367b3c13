// Makes allocations as long as it runs: a line of JSON in, and a line of JSON out, for each of them.
import { createInterface } from "node:readline";

async function allocate({ url, api_key, order_id, warehouse_id, line_items }) {
  const response = await fetch(`${url}/orders/${order_id}/allocations`, {
    method: "POST",
    headers: { "x-api-key": api_key, "content-type": "application/json" },
    body: JSON.stringify({ allocation: { warehouse_id, line_items_attributes: line_items } }),
    redirect: "manual",
    signal: AbortSignal.timeout(1000),
  });
  if (response.status !== 201) throw new Error(`the allocation failed with status ${response.status}`);
  return response.json();
}

for await (const line of createInterface({ input: process.stdin })) {
  try {
    await allocate(JSON.parse(line));
    console.log(JSON.stringify({ ok: true }));
  } catch (error) {
    console.error(error.message);
    console.log(JSON.stringify({ ok: false }));
  }
}
