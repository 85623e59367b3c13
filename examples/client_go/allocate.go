// Makes one allocation: the order on standard input, the API's URL and key in the environment.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

func try(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	var given, order map[string]json.RawMessage
	try(json.NewDecoder(os.Stdin).Decode(&given))
	url := fmt.Sprintf("%s/orders/%s/allocations", os.Getenv("VEEQO_ALLOC_URL"), given["order_id"])
	body := fmt.Sprintf(`{"allocation": {"warehouse_id": %s, "line_items_attributes": %s}}`, given["warehouse_id"], given["line_items"])

	request, err := http.NewRequest("POST", url, strings.NewReader(body))
	try(err)
	request.Header = http.Header{"X-Api-Key": {os.Getenv("VEEQO_ALLOC_API_KEY")}, "Content-Type": {"application/json"}}
	client := http.Client{Timeout: time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	try(err)
	if response.StatusCode != 201 {
		log.Fatal("the allocation failed with status ", response.StatusCode)
	}
	try(json.NewDecoder(response.Body).Decode(&order))
	try(json.NewEncoder(os.Stdout).Encode(order))
}
