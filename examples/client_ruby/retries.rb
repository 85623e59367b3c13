# The client of allocate.rb with a defect: it posts again after a timeout, although the units may be allocated.
require "json"
require "net/http"

given = JSON.parse($stdin.read)
uri = URI("#{ENV.fetch("VEEQO_ALLOC_URL")}/orders/#{given["order_id"]}/allocations")
headers = { "x-api-key" => ENV.fetch("VEEQO_ALLOC_API_KEY"), "content-type" => "application/json" }
allocation = { warehouse_id: given["warehouse_id"], line_items_attributes: given["line_items"] }

http = Net::HTTP.new(uri.host, uri.port)
http.use_ssl = uri.scheme == "https"
http.open_timeout = http.read_timeout = 1

attempts = 0
begin
  attempts += 1
  response = Timeout.timeout(1) { http.post(uri.path, JSON.generate({ allocation: allocation }), headers) }
  raise "the allocation failed with status #{response.code}" unless response.code == "201"

  puts JSON.generate(JSON.parse(response.body))
rescue Timeout::Error
  retry if attempts < 2
  abort "no response"
rescue StandardError => error
  abort error.message
end
