export const check = { name: 'check', summary: '', options: {}, run: async () => 0 };
