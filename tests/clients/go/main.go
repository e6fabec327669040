// Command go-clients puts franz-go and Sarama through the scenarios of tests/clients.
package main

import (
	"fmt"
	"os"

	"alluvium/tests/clients/go/franzgo"
	"alluvium/tests/clients/go/ibmsarama"
	"alluvium/tests/clients/go/suite"
)

func main() {
	place, err := suite.NewPlace()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	franz := &franzgo.Client{Bootstrap: place.Bootstrap}
	place.Inspector = &franzgo.Client{Bootstrap: place.Bootstrap}
	settled := &ibmsarama.Client{Bootstrap: place.Bootstrap}
	newest := &ibmsarama.Client{Bootstrap: place.Bootstrap, Newest: true}

	var report suite.Report
	for _, client := range []suite.Client{franz, settled, newest} {
		report.RunAll(place, client)
	}
	if tests := os.Getenv("FRANZ_GO_TESTS"); tests != "" {
		report.RunShipped(place, franzgo.Shipped(tests, place))
	}
	if os.Getenv("API_VERSIONS") != "" {
		franz.Traffic.Print(os.Stderr, franz.Name())
		settled.Traffic.Print(os.Stderr, settled.Name())
		newest.Traffic.Print(os.Stderr, newest.Name())
	}
	os.Exit(report.Finish())
}
