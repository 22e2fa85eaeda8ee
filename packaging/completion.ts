/** Completions for bash, zsh and fish, from the command table. */
import { type CommandPage, type GroupPage, leaves } from './command-table.ts';

type Table = readonly (CommandPage | GroupPage)[];

/** Options and operands of these kinds are completed with files. */
const isFile = (placeholder: string | undefined): boolean => /^\[?(FILE|MANIFEST)/.test(placeholder ?? '');

const optionsOf = ({ command }: CommandPage) => [
  ...Object.entries(command.options),
  ['help', { describe: 'how to use it' }] as [string, { value?: string; describe: string }],
];

export const bashCompletion = (table: Table): string => `# bash completion for dropledger
_dropledger() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} words='' files=''
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '${table.map(({ name }) => name).join(' ')} --help --version' -- "$word"))
    return
  fi
  case $command in
${groups(table)
  .map(
    ({ name, pages }) => `    ${name})
      if ((COMP_CWORD == 2)); then
        COMPREPLY=($(compgen -W '${pages.map((page) => lastWord(page.name)).join(' ')} --help' -- "$word"))
        return
      fi
      command="$command \${COMP_WORDS[2]}" ;;`,
  )
  .join('\n')}
  esac
  case "$command $before" in
${leaves(table)
  .flatMap((page) => {
    const valued = optionsOf(page).filter(([, { value }]) => value !== undefined);
    const [file, other] = [
      valued.filter(([, { value }]) => isFile(value)),
      valued.filter(([, { value }]) => !isFile(value)),
    ];
    const patterns = (some: typeof valued) => some.map(([option]) => `'${page.name} --${option}'`).join(' | ');
    return [
      ...(file.length > 0 ? [`    ${patterns(file)}) files=yes ;;`] : []),
      ...(other.length > 0 ? [`    ${patterns(other)}) return ;;`] : []),
    ];
  })
  .join('\n')}
  esac
  case $command in
${leaves(table)
  .map(
    (page) =>
      `    '${page.name}') words='${optionsOf(page)
        .map(([option]) => `--${option}`)
        .join(' ')}'${isFile(page.command.operands?.usage) ? ' files=yes' : ''} ;;`,
  )
  .join('\n')}
  esac
  if [[ $files && $word != -* ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  else
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  fi
}
complete -F _dropledger dropledger
`;

export const zshCompletion = (table: Table): string => `#compdef dropledger
local -a commands
case $CURRENT in
  2)
    commands=(${table.map(({ name, summary }) => `\n      ${zshQuoted(`${name}:${summary}`)}`).join('')}
    )
    _describe command commands && return ;;
esac
case $words[2] in
${groups(table)
  .map(
    ({ name, pages }) => `  ${name})
    if ((CURRENT == 3)); then
      commands=(${pages.map((page) => zshQuoted(`${lastWord(page.name)}:${page.summary}`)).join(' ')})
      _describe command commands
      return
    fi
    words=("$words[1] $words[2] $words[3]" \${words[4,-1]})
    ((CURRENT -= 2)) ;;`,
  )
  .join('\n')}
  *)
    words=("$words[1] $words[2]" \${words[3,-1]})
    ((CURRENT -= 1)) ;;
esac
case $words[1] in
${leaves(table)
  .map((page) => {
    const specs = optionsOf(page).map(([option, { value, describe }]) => {
      const action = value === undefined ? '' : `:${value}:${isFile(value) ? '_files' : ' '}`;
      return zshQuoted(`--${option}[${describe.replace(/[[\]\\]/g, '\\$&')}]${action}`);
    });
    const operand = isFile(page.command.operands?.usage) ? [`'*:file:_files'`] : [];
    return `  'dropledger ${page.name}')\n    _arguments ${[...specs, ...operand].join(' \\\n      ')} ;;`;
  })
  .join('\n')}
esac
`;

export const fishCompletion = (table: Table): string => `# fish completion for dropledger
complete -c dropledger -f
${table.map(({ name, summary }) => `complete -c dropledger -n __fish_use_subcommand -a ${name} -d ${fishQuoted(summary)}`).join('\n')}
${groups(table)
  .flatMap(({ name, pages }) => {
    const none = `__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${pages.map((page) => lastWord(page.name)).join(' ')}`;
    return pages.map(
      (page) => `complete -c dropledger -n '${none}' -a ${lastWord(page.name)} -d ${fishQuoted(page.summary)}`,
    );
  })
  .join('\n')}
${leaves(table)
  .flatMap((page) => {
    const seen = page.name
      .split(' ')
      .map((word) => `__fish_seen_subcommand_from ${word}`)
      .join('; and ');
    const options = optionsOf(page).map(([option, { value, describe }]) => {
      const argument = value === undefined ? '' : isFile(value) ? ' -rF' : ' -x';
      return `complete -c dropledger -n '${seen}' -l ${option}${argument} -d ${fishQuoted(describe)}`;
    });
    return isFile(page.command.operands?.usage) ? [...options, `complete -c dropledger -n '${seen}' -F`] : options;
  })
  .join('\n')}
`;

const groups = (table: Table): GroupPage[] => table.filter((page) => 'pages' in page);
const lastWord = (name: string): string => name.slice(name.lastIndexOf(' ') + 1);
const zshQuoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
const fishQuoted = (text: string): string => `'${text.replace(/[\\']/g, '\\$&')}'`;
