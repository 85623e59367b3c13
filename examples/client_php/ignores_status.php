<?php
// The client of allocate.php with a defect: it takes an error status for a success.
$given = json_decode(file_get_contents('php://stdin'), true, 512, JSON_THROW_ON_ERROR);
$allocation = ['warehouse_id' => $given['warehouse_id'], 'line_items_attributes' => $given['line_items']];

$curl = curl_init(getenv('VEEQO_ALLOC_URL') . "/orders/{$given['order_id']}/allocations");
curl_setopt_array($curl, [
    CURLOPT_POSTFIELDS => json_encode(['allocation' => $allocation], JSON_THROW_ON_ERROR),
    CURLOPT_HTTPHEADER => ['x-api-key: ' . getenv('VEEQO_ALLOC_API_KEY'), 'Content-Type: application/json'],
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 1,
]);
$body = curl_exec($curl);

if ($body === false) {
    fwrite(STDERR, 'the allocation failed: ' . curl_error($curl) . "\n");
    exit(1);
}
try {
    echo json_encode(json_decode($body, false, 512, JSON_THROW_ON_ERROR)), "\n";
} catch (JsonException $error) {
    fwrite(STDERR, "the response is not JSON: {$error->getMessage()}\n");
    exit(1);
}
