// Command conformance is the conformance runner of the Go client. It makes the calls
// of a plan and writes the results that the Go client returned to a file.
// clients/conformance/README.md describes both files.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: conformance PLAN RESULTS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run(planPath, resultsPath string) error {
	text, err := os.ReadFile(planPath)
	if err != nil {
		return err
	}
	var plan plan
	if err := json.Unmarshal(text, &plan); err != nil {
		return err
	}
	results := results{Client: "go", Results: []*result{}}
	for _, scenario := range plan.Scenarios {
		if err := insertAnswer(&scenario, results.Results); err != nil {
			return err
		}
		results.Results = append(results.Results, runScenario(&plan, &scenario))
	}
	text, err = json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(resultsPath, text, 0o644)
}
