package suite

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	scenarioTimeout = 60 * time.Second
	// Scenarios that restart the server do not pay for a server that is slow to start.
	restartTimeout = 90 * time.Second
)

// Report prints one line a scenario, and counts.
type Report struct {
	passed, failed, skipped int
}

// NewPlace reads BOOTSTRAP, SERVER_RESTART, REFERENCE and SCENARIO.
func NewPlace() (*Place, error) {
	place := &Place{
		Bootstrap: os.Getenv("BOOTSTRAP"),
		Restart:   os.Getenv("SERVER_RESTART"),
		Reference: isSet("REFERENCE") || isSet("REFERENCE"),
		Only:      os.Getenv("SCENARIO"),
	}
	if place.Bootstrap == "" {
		return nil, fmt.Errorf("BOOTSTRAP is not set: the host:port of a running broker")
	}
	random := make([]byte, 4)
	if _, err := rand.Read(random); err != nil {
		return nil, err
	}
	place.suffix = hex.EncodeToString(random)
	return place, nil
}

func isSet(name string) bool {
	value := os.Getenv(name)
	return value != "" && value != "0"
}

// RunAll puts a client through every scenario. Names of topics and groups carry the client's name.
func (report *Report) RunAll(place *Place, client Client) {
	mine := *place
	mine.suffix = client.Name() + "-" + place.suffix
	for _, scenario := range append(sharedScenarios(client), client.Extra()...) {
		if name := client.Name() + "/" + scenario.Name; strings.Contains(name, place.Only) {
			report.run(&mine, name, scenario)
		}
	}
}

func (report *Report) run(place *Place, name string, scenario Scenario) {
	timeout := scenarioTimeout
	if strings.Contains(scenario.Name, "restart") {
		timeout += restartTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	started := time.Now()
	outcome := make(chan error, 1)
	go func() { outcome <- scenario.Run(ctx, place) }()
	var err error
	select {
	case err = <-outcome:
	case <-time.After(timeout + 5*time.Second):
		err = errors.New("not done after its deadline")
	}
	report.say(name, err)
	fmt.Fprintf(os.Stderr, "%s took %.2f s\n", name, time.Since(started).Seconds())
}

// say prints the line of a scenario and counts it.
func (report *Report) say(name string, err error) {
	if skip, is := asSkip(err); is {
		report.skipped++
		fmt.Printf("skip %s: %s\n", name, skip.reason)
	} else if err != nil {
		report.failed++
		fmt.Printf("FAIL %s: %s\n", name, strings.Join(strings.Fields(err.Error()), " "))
	} else {
		report.passed++
		fmt.Printf("ok %s\n", name)
	}
}

// Finish prints the count and returns the exit code.
func (report *Report) Finish() int {
	fmt.Printf("%d passed, %d failed, %d skipped\n", report.passed, report.failed, report.skipped)
	if report.failed > 0 {
		return 1
	}
	return 0
}

// RestartServer stops the server and starts it again on the same data.
func (place *Place) RestartServer(ctx context.Context) error {
	if place.Restart == "" {
		return Skip("SERVER_RESTART is not set")
	}
	command := exec.CommandContext(ctx, "sh", "-c", place.Restart)
	// The server outlives this command: files, not pipes, so that waiting does not wait for the server.
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("restarting the server: %w", err)
	}
	return nil
}
