// Command upstream_prometheus says what Prometheus' own code has against a text of metrics, so that tests can ask it of
// reports: the parser that node_exporter's textfile collector uses, the consistency check of what is gathered from it, and
// the linter that is promtool check metrics.
//
// It reads one question a line (JSON) from standard input, {"text": "…"}, and answers each by a line:
// {"problems": ["…"], "series": 3}.
package main

import (
	"sort"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	lines "kubeassay.dev/oracle_lines"
)

type question struct {
	Text string `json:"text"`
}

type answer struct {
	Problems []string `json:"problems"`
	Series   int      `json:"series"`
}

func main() {
	lines.Answer(func(asked question) (any, error) { return judge(asked.Text), nil })
}

func judge(text string) answer {
	result := answer{Problems: []string{}}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		result.Problems = append(result.Problems, err.Error())
		return result
	}
	var gathered []*dto.MetricFamily
	for _, family := range families {
		if len(family.Metric) > 0 {
			gathered = append(gathered, family)
		}
		for _, metric := range family.Metric {
			result.Series++
			if metric.TimestampMs != nil {
				result.Problems = append(result.Problems, family.GetName()+": a sample has a time stamp")
			}
		}
	}
	sort.Slice(gathered, func(i, j int) bool { return gathered[i].GetName() < gathered[j].GetName() })
	// What Gatherers refuse, node_exporter refuses: equal series, labels that are no UTF-8, types that differ.
	of := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return gathered, nil })
	if _, err := (prometheus.Gatherers{of}).Gather(); err != nil {
		result.Problems = append(result.Problems, err.Error())
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		result.Problems = append(result.Problems, err.Error())
	}
	for _, problem := range problems {
		result.Problems = append(result.Problems, problem.Metric+": "+problem.Text)
	}
	return result
}
