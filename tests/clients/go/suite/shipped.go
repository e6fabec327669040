package suite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

const shippedTimeout = 180 * time.Second

// Shipped is the compiled test suite of a client library, as far as it talks to a broker.
type Shipped struct {
	Client      string   // its scenarios are named Client/own/Test
	Executable  string   // made by `go test -c`
	Environment []string // what its tests read, besides our own environment
	Tests       []string
	NotRun      map[string]string // tests of the library that cannot pass here, with the reason
}

var (
	shippedCurrent = regexp.MustCompile(`^=== (?:RUN|CONT|NAME|PAUSE)\s+(\S+)`)
	shippedOutcome = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \(`)
	shippedSaid    = regexp.MustCompile(`^\s+\w+_test\.go:\d+: (.*)`)
	shippedCleanup = regexp.MustCompile(`^(deleting |\S+ completed in )`)
)

// RunShipped runs the tests, several at a time, and reports each as one scenario. A test that has subtests is
// reported through them.
func (report *Report) RunShipped(place *Place, shipped Shipped) {
	var wanted []string
	for _, test := range shipped.Tests {
		name := shipped.Client + "/own/" + test
		if !strings.Contains(name, place.Only) {
			continue
		}
		if reason, is := shipped.NotRun[test]; is {
			report.say(name, Skip("%s", reason))
		} else {
			wanted = append(wanted, test)
		}
	}
	if len(wanted) == 0 {
		return
	}
	outcomes, said, err := shipped.run(wanted)
	for _, test := range wanted {
		names := make([]string, 0, 1)
		for name := range outcomes {
			if strings.HasPrefix(name, test+"/") {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		if len(names) == 0 || outcomes[test] == "FAIL" {
			names = append(names, test)
		}
		for _, name := range names {
			report.say(shipped.Client+"/own/"+name, shippedError(outcomes[name], said[name], err))
		}
	}
}

func shippedError(outcome, said string, ended error) error {
	switch outcome {
	case "PASS":
		return nil
	case "SKIP":
		return Skip("%s", said)
	case "FAIL":
		return fmt.Errorf("%s", said)
	default:
		return fmt.Errorf("no result, the tests ended with: %v", ended)
	}
}

// run gives the outcome of each test and subtest, and the last thing it said, as skips and failures have it.
func (shipped Shipped) run(tests []string) (outcomes, said map[string]string, err error) {
	outcomes, said = map[string]string{}, map[string]string{}
	ctx, cancel := context.WithTimeout(context.Background(), shippedTimeout+10*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, shipped.Executable, "-test.v", "-test.parallel=16",
		"-test.run=^("+strings.Join(tests, "|")+")$", "-test.timeout="+shippedTimeout.String())
	command.Env = append(os.Environ(), shipped.Environment...)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		return outcomes, said, err
	}
	if err := command.Start(); err != nil {
		return outcomes, said, err
	}
	current := ""
	lines := bufio.NewScanner(output)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if match := shippedCurrent.FindStringSubmatch(line); match != nil {
			current = match[1]
		} else if match := shippedOutcome.FindStringSubmatch(line); match != nil {
			outcomes[match[2]], current = match[1], match[2]
		} else if match := shippedSaid.FindStringSubmatch(line); match != nil && !shippedCleanup.MatchString(match[1]) {
			said[current] = match[1]
		}
		fmt.Fprintln(os.Stderr, line)
	}
	return outcomes, said, command.Wait()
}
